"""The recipes in jobs/: their settings are options, and their scripts call commands as they are."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from corpus_lonely.cli.cluster_options import cluster_settings
from corpus_lonely.training.experiment.file import read_experiment
from tests.command_lines import ROOT, leaves, parsed

JOBS = sorted(path.parent for path in ROOT.glob("jobs/*/settings.toml"))
SCRIPTS = sorted(ROOT.glob("jobs/*/*.sh"))
BATCHES = sorted(ROOT.glob("jobs/slurm/*.sbatch"))
COMMANDS = {path.split()[-1]: command for path, command in leaves()}
"""By the last word, which is the name of a command's table."""
FIVE = ["dump", "train", "evaluate", "score", "study"]

job = pytest.mark.parametrize("job", JOBS, ids=lambda path: path.name)


def tables(job: Path) -> dict[str, dict[str, object]]:
    content: dict[str, dict[str, object]] = tomllib.loads(
        (job / "settings.toml").read_text("utf-8")
    )
    return content


def long_options(command: click.Command) -> set[str]:
    return {name[2:] for option in command.params for name in option.opts if name[:2] == "--"}


def calls(script: Path, folder: Path, *arguments: str) -> list[list[str]]:
    """The words of each `corpus-lonely` that a script runs, when each of them succeeds."""
    stand_in, told = folder / "bin" / "corpus-lonely", folder / "calls.jsonl"
    stand_in.parent.mkdir()
    stand_in.write_text(
        f"#!{sys.executable} -S\nimport json, sys\n"
        f"print(json.dumps(sys.argv[1:]), file=open({str(told)!r}, 'a'))\n"
    )
    stand_in.chmod(0o755)
    path = f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["bash", script, *arguments], check=True, cwd=folder, env={**os.environ, "PATH": path}
    )
    return [json.loads(line) for line in told.read_text("utf-8").splitlines()]


def test_there_are_six_jobs() -> None:
    assert [job.name for job in JOBS] == ["covid", "crawl", "quickstart", "slurm", "ssh"]
    experiments = sorted(path.name for path in (ROOT / "jobs" / "paper").iterdir())
    assert experiments == ["experiment-minilm.toml", "experiment.toml"]
    assert [script.parent for script in SCRIPTS] == [job for job in JOBS if job.name != "slurm"]
    assert [script.name for script in BATCHES] == [
        "array.sbatch",
        "cluster.sbatch",
        "scheduler-file.sbatch",
    ]


@job
def test_every_setting_is_an_option_of_the_command_it_names(job: Path) -> None:
    for name, settings in tables(job).items():
        assert isinstance(settings, dict)  # a key outside a table would be an option of all
        assert settings.keys() <= long_options(COMMANDS[name])


@pytest.mark.parametrize("script", [*SCRIPTS, *BATCHES], ids=lambda path: path.name)
def test_scripts_are_in_form(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert "\nset -euo pipefail\n" in script.read_text("utf-8")


@pytest.mark.parametrize("name", ["quickstart", "covid"])
def test_five_commands_from_dumps_to_a_report(name: str, tmp_path: Path) -> None:
    script = ROOT / "jobs" / name / "run.sh"
    contexts = [parsed(words) for words in calls(script, tmp_path, "a.zst", "b c.zst")]
    assert [context.info_name for context in contexts] == FIVE
    dump, train, evaluate, score, study = (context.params for context in contexts)
    assert [str(path) for path in dump["files"]] == ["a.zst", "b c.zst"]
    assert Path(score["source"]) == dump["out"]
    assert score["model"] == evaluate["model"] == train["out"]
    assert evaluate["labels"] == train["labels"]
    assert Path(study["scores"]) == score["out"]
    assert str(study["cut"]) == "2020-03-11"


@pytest.mark.parametrize("name", ["quickstart", "covid"])
def test_without_dumps_the_script_says_what_it_needs(name: str) -> None:
    script = ROOT / "jobs" / name / "run.sh"
    ran = subprocess.run(["bash", script], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"Usage: bash jobs/{name}/run.sh DUMP...\n"


def test_covid_keeps_the_four_subreddits_from_2018_to_2022(tmp_path: Path) -> None:
    words = calls(ROOT / "jobs" / "covid" / "run.sh", tmp_path, "a.zst")
    dump, *_, study = (parsed(line).params for line in words)
    assert set(dump["subreddits"]) == {"lonely", "loneliness", "youngadults", "college"}
    assert (str(dump["since"]), str(dump["until"])) == ("2018-01-01", "2022-12-31")
    assert study["kind"] == "submission"


def test_the_paper_has_its_systems_and_those_it_left_out() -> None:
    experiment = read_experiment(ROOT / "jobs" / "paper" / "experiment.toml")
    cells = {
        (system.encoder, system.options["head"], system.options.get("weighting", "equal"))
        for system in experiment.systems
    }
    assert cells == {
        ("plain", "mlp", "equal"), ("plain", "hdln", "equal"), ("adapted", "hdln", "equal"),
        ("adapted", "hdln", "learned"), ("adapted", "mlp", "equal"), ("plain", "hdln", "learned"),
        ("plain", "hdln", "learned-entropy"),
    }  # fmt: skip
    assert experiment.seeds == (0, 1, 2)
    assert experiment.train == {"epochs": 20, "batch_size": 16, "learning_rate": 2e-5}
    assert experiment.encoders["plain"] == "bert-base-cased"


def test_a_night_ends_the_crawl_that_was_interrupted_and_begins_its_own(tmp_path: Path) -> None:
    script = ROOT / "jobs" / "crawl" / "run.sh"
    (words,) = calls(script, tmp_path, "--restart")
    options = parsed(words).params
    assert options["subreddits"] == ("lonely", "loneliness", "college")
    assert (options["comments"], options["restart"]) == (True, True)
    checkpoint = tmp_path / f"{options['out']}.about" / "crawl" / "checkpoint.json"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    again = tmp_path / "again"
    again.mkdir()
    (tmp_path / "runs").rename(again / "runs")
    assert len(calls(script, again)) == 2


@pytest.mark.parametrize("script", BATCHES, ids=lambda path: path.name)
def test_batch_scripts_say_where_to_edit_and_what_to_do(script: Path) -> None:
    head, _, body = script.read_text("utf-8").partition("\nset -euo pipefail\n")
    assert re.findall(r"^# EDIT (\d)/3: ", head + body, re.MULTILINE) == ["1", "2", "3"]
    for told in ("# Start it: ", "# See progress: ", "# Walltime ends: "):
        assert f"\n{told}" in head
    assert "#SBATCH" not in body  # sbatch reads them up to the first command
    assert f"jobs/slurm/{script.name}" in head
    assert f"({script.name})" in (script.parent / "README.md").read_text("utf-8")


STEP = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "8", "SLURM_CPUS_PER_TASK": "4"}


def readied(recipe: str, folder: Path, uncommented: bool = False) -> Path:
    """A recipe that finds commands without a virtual environment."""
    text = (ROOT / "jobs" / "slurm" / recipe).read_text("utf-8")
    text = text.replace("source .venv/bin/activate\n", "")
    if uncommented:
        text = re.sub(r"^# (\w+\+?=\()", r"\1", text, flags=re.MULTILINE)
    script = folder / recipe
    script.write_text(text)
    return script


@pytest.mark.parametrize(
    ("told", "workers"),
    [
        ({}, 4),
        ({"SLURM_GPUS_ON_NODE": "0", "CUDA_VISIBLE_DEVICES": "NoDevFiles"}, 4),
        ({"CUDA_VISIBLE_DEVICES": ""}, 4),
        ({"SLURM_JOB_GPUS": "0"}, 1),
        ({"SLURM_GPUS_ON_NODE": "1"}, 1),
        ({"CUDA_VISIBLE_DEVICES": "0"}, 1),
    ],
)
def test_a_job_of_the_array_sees_its_gpu_however_slurm_tells(
    told: dict[str, str], workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**STEP, **told}.items():
        monkeypatch.setenv(name, value)
    (words,) = calls(readied("array.sbatch", tmp_path), tmp_path)
    options = parsed(words).params
    assert (options["workers"], options["threads"]) == (workers, 4 // workers)
    assert (options["shard_index"], options["num_shards"]) == (2, 8)


def test_what_is_commented_out_for_whole_nodes_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    script = readied("scheduler-file.sbatch", tmp_path, uncommented=True)
    stands_in = {"dask": f'echo "$@" > {tmp_path}/dask.told', "srun": 'shift; exec "$@"'}
    extra = tmp_path / "extra"
    extra.mkdir()
    for name, does in stands_in.items():
        (extra / name).write_text(f"#!/bin/sh\n{does}\n")
        (extra / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(extra), prepend=os.pathsep)
    # what stands at the end is not killed before it has spoken
    script.write_text(script.read_text("utf-8").replace("'kill $(jobs -p)", "'wait"))
    called = {tuple(words[:2]): words for words in calls(script, tmp_path)}
    assert "--interface ib0" in (tmp_path / "dask.told").read_text()
    worker = called["cluster", "worker"]
    assert worker[-2:] == ["--interface", "ib0"]
    (score,) = (words for words in called.values() if words[0] == "score")
    assert score[score.index("--batch-tokens") + 1] == "65536"
    assert score[score.index("--shard-rows") + 1] == "65536"


def test_the_settings_of_slurm_and_ssh_are_taken() -> None:
    for name, kind in (("slurm", "slurm"), ("ssh", "ssh")):
        path = ROOT / "jobs" / name / "settings.toml"
        text = re.sub(r"^# ([a-z-]+ = )", r"\1", path.read_text("utf-8"), flags=re.MULTILINE)
        settings = tomllib.loads(text)["score"]  # with those that are commented out
        assert settings.keys() <= long_options(COMMANDS["score"])
        options = parsed(["score", "--config", str(path)]).params
        assert options["kind"] == kind
        assert cluster_settings(options, debug=False).kind == kind
