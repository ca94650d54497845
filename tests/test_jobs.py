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


def test_there_are_five_jobs() -> None:
    assert [job.name for job in JOBS] == ["covid", "paper", "quickstart", "slurm", "ssh"]
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


def test_the_paper_trains_two_heads_over_three_seeds(tmp_path: Path) -> None:
    words = calls(ROOT / "jobs" / "paper" / "run.sh", tmp_path, "labels/", "minilm")
    contexts = [parsed(line) for line in words]
    trained = [context.params for context in contexts if context.info_name == "train"]
    evaluated = [context.params for context in contexts if context.info_name == "evaluate"]
    assert {(run["head"], run["seed"]) for run in trained} == {
        (head, seed) for head in ("hdln", "mlp") for seed in (0, 1, 2)
    }
    assert len(trained) == len({run["out"] for run in trained}) == 6
    assert [run["model"] for run in evaluated] == [run["out"] for run in trained]
    assert {run["labels"] for run in (*trained, *evaluated)} == {"labels/"}
    for run in trained:
        assert (run["encoder"], run["epochs"], run["batch_size"]) == ("minilm", 20, 16)
        assert run["learning_rate"] == 2e-5


@pytest.mark.parametrize("script", BATCHES, ids=lambda path: path.name)
def test_batch_scripts_say_where_to_edit_and_what_to_do(script: Path) -> None:
    head, _, body = script.read_text("utf-8").partition("\nset -euo pipefail\n")
    assert re.findall(r"^# EDIT (\d)/3: ", head + body, re.MULTILINE) == ["1", "2", "3"]
    for told in ("# Start it: ", "# See progress: ", "# Walltime ends: "):
        assert f"\n{told}" in head
    assert "#SBATCH" not in body  # sbatch reads them up to the first command
    assert f"jobs/slurm/{script.name}" in head
    assert f"({script.name})" in (script.parent / "README.md").read_text("utf-8")


def test_the_settings_of_slurm_and_ssh_are_taken() -> None:
    for name, kind in (("slurm", "slurm"), ("ssh", "ssh")):
        path = ROOT / "jobs" / name / "settings.toml"
        text = re.sub(r"^# ([a-z-]+ = )", r"\1", path.read_text("utf-8"), flags=re.MULTILINE)
        settings = tomllib.loads(text)["score"]  # with those that are commented out
        assert settings.keys() <= long_options(COMMANDS["score"])
        options = parsed(["score", "--config", str(path)]).params
        assert options["kind"] == kind
        assert cluster_settings(options, debug=False).kind == kind
