"""An experiment that several processes share, of which not all is done, or whose file has changed."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from corpus_lonely.cli.main import main
from corpus_lonely.errors import BusyError, OutputError, SettingsError
from corpus_lonely.training.claim import claimed
from corpus_lonely.training.experiment.file import make_experiment
from corpus_lonely.training.experiment.run import narrowed, planned, run_experiment
from corpus_lonely.training.experiment.spec import Adaptation, Experiment
from tests.training.test_experiment import Notes


def content(labels: Path, encoder: Path) -> dict[str, Any]:
    return {
        "labels": str(labels),
        "encoders": {
            "plain": str(encoder),
            "adapted": {
                "adapt": str(encoder), "input": str(labels), "epochs": 1, "max-tokens": 64,
                "precision": "fp32",
            },
        },
        "seeds": [0, 1],
        "replicates": 100,
        "train": {"epochs": 1, "batch-size": 8, "max-tokens": 64, "precision": "fp32"},
        "systems": [
            {"name": "Flat", "head": "mlp"},
            {"name": "Adapted", "encoder": "adapted", "head": "mlp"},
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def done(
    tiny_labels: Path, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Experiment, Path]:
    """Four runs, all done."""
    experiment = make_experiment(content(tiny_labels, tiny_encoder))
    out = tmp_path_factory.mktemp("shared") / "results"
    run_experiment(experiment, out, threads=1)
    return experiment, out


@pytest.fixture
def copied(done: tuple[Experiment, Path], tmp_path: Path) -> tuple[Experiment, Path]:
    """The same, to be changed."""
    shutil.copytree(done[1], tmp_path / "results")
    return done[0], tmp_path / "results"


def page_of(out: Path) -> str:
    return (out / "report.md").read_text("utf-8")


def test_some_of_the_runs_are_reported_with_all_that_are_done(
    copied: tuple[Experiment, Path],
) -> None:
    experiment, out = copied
    before = page_of(out)
    shutil.rmtree(out / "models" / "flat" / "seed-1")
    some = narrowed(experiment, ("Flat",), (1,))
    report = run_experiment(experiment, out, threads=1, some=some)
    assert (report.runs, report.all_runs, report.left) == (4, 4, 0)
    assert page_of(out) == before


def test_what_another_process_is_at_is_left_to_it(copied: tuple[Experiment, Path]) -> None:
    experiment, out = copied
    at_it, notes = out / "models" / "flat" / "seed-0", Notes()
    shutil.rmtree(at_it)
    shutil.rmtree(out / "models" / "adapted" / "seed-1")
    with claimed(at_it):
        states = planned(experiment, out)
        report = run_experiment(experiment, out, threads=1, progress=notes)
    assert states[0][2].startswith("in progress: another process (")
    assert states[1:4] == [
        ("Flat", 1, "done"), ("Adapted", 0, "done"), ("Adapted", 1, "to do")
    ]  # fmt: skip
    assert (report.runs, report.all_runs, report.left) == (3, 4, 1)
    assert sum("is at work there" in line for line in notes.told) == 1
    assert "**Not all runs are done.** Seeds so far: Flat: 1." in page_of(out)
    assert run_experiment(experiment, out, threads=1).runs == 4


def test_an_encoder_that_another_process_adapts_is_left_to_it(
    copied: tuple[Experiment, Path],
) -> None:
    experiment, out = copied
    shutil.rmtree(out / "encoders")
    shutil.rmtree(out / "models" / "adapted")
    with claimed(out / "encoders" / "adapted"):
        report = run_experiment(experiment, out, threads=1)
        some = narrowed(experiment, ("Adapted",), ())
        with pytest.raises(BusyError, match="encoders/adapted: another process"):
            run_experiment(some, out / "elsewhere" / ".." / ".." / out.name, threads=1)
    assert (report.runs, report.left) == (2, 2)
    assert "Seeds so far: Adapted: none." in page_of(out)
    assert not (out / "models" / "adapted").exists()


def test_systems_without_any_run_are_named_and_their_figures_go(
    copied: tuple[Experiment, Path],
) -> None:
    experiment, out = copied
    shutil.rmtree(out / "models" / "adapted")
    for name in ("my-own", "weights-adapted", "transfer-adapted"):
        (out / "figures" / f"{name}.png").touch()
        os.utime(out / "figures" / f"{name}.png", (1e9, 1e9))
    run_experiment(experiment, out, threads=1, only_done=True)
    assert "Seeds so far: Adapted: none." in page_of(out)
    assert {path.name for path in (out / "figures").iterdir()} == {"learning.png", "my-own.png"}


def test_an_encoder_that_was_removed_is_told_and_its_runs_still_count(
    copied: tuple[Experiment, Path],
) -> None:
    experiment, out = copied
    before, notes = page_of(out), Notes()
    shutil.rmtree(out / "encoders")
    run_experiment(experiment, out, threads=1, only_done=True, progress=notes)
    assert page_of(out) == before
    assert [line for line in notes.told if "encoders/adapted: is not there" in line]
    other = replace(experiment, train={**experiment.train, "epochs": 2})
    shutil.rmtree(out / "models" / "flat")
    with pytest.raises(OutputError, match="adapted/seed-0: holds a model of other settings"):
        run_experiment(other, out, threads=1, only_done=True)


def test_other_settings_are_listed_refused_at_once_and_left_out_of_others_tables(
    copied: tuple[Experiment, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, out = copied
    flat, *rest = experiment.systems
    other = replace(
        experiment, systems=(replace(flat, options={**flat.options, "epochs": 2}), *rest)
    )
    states = [state for _, _, state in planned(other, out)]
    assert states == ["other settings"] * 2 + ["done"] * 2
    notes = Notes()
    report = run_experiment(
        other, out, threads=1, some=narrowed(other, ("Adapted",), ()), progress=notes
    )
    assert (report.runs, report.all_runs) == (2, 4)
    assert sum(line.startswith("Left out: ") and "flat/seed-" in line for line in notes.told) == 2
    shutil.rmtree(out / "encoders")
    monkeypatch.setattr("corpus_lonely.training.experiment.run.adapt_encoder", None)
    with pytest.raises(OutputError, match="flat/seed-0: holds a model of other settings"):
        run_experiment(other, out, threads=1)


@pytest.mark.parametrize(
    ("train", "adapt", "problem"),
    [
        ({"max-tokens": 5120}, {}, "system 'Flat': max-tokens must be at most 256 for this bert"),
        ({"device": "tpu"}, {}, "system 'Flat': device 'tpu' is not there"),
        ({}, {"max-tokens": 5120}, "encoders.adapted: max-tokens must be at most 256"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_adapted(
    train: dict[str, Any], adapt: dict[str, Any], problem: str,
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path,
) -> None:  # fmt: skip
    told = content(tiny_labels, tiny_encoder)
    told["train"] |= train
    told["encoders"]["adapted"] |= adapt
    with pytest.raises(SettingsError, match=problem):
        run_experiment(make_experiment(told), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_several_processes_are_refused_at_once(
    done: tuple[Experiment, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match="`experiment` runs in one process, and torchrun"):
        run_experiment(done[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_labels_stand_wherever_the_files_own_did() -> None:
    told = content(Path("hub/set"), Path("e"))
    told["encoders"]["adapted"]["exclude"] = ["hub/set", "another"]
    found = make_experiment(told).with_labels("mine/")
    adaptation = found.encoders["adapted"]
    assert isinstance(adaptation, Adaptation)
    assert adaptation.settings(found.labels, Path("out"), {}).exclude == ("mine/", "another")


def test_the_command_counts_what_is_done_of_all(
    copied: tuple[Experiment, Path], tiny_labels: Path, tiny_encoder: Path
) -> None:
    out = copied[1]
    shutil.rmtree(out / "models" / "flat" / "seed-1")
    job = out.parent / "e.toml"
    job.write_text(
        f'labels = "gone/"\nseeds = [0, 1]\nreplicates = 100\n[encoders]\nplain = "{tiny_encoder}"\n'
        '[train]\nepochs = 1\nbatch-size = 8\nmax-tokens = 64\nprecision = "fp32"\n'
        '[[systems]]\nname = "Flat"\nhead = "mlp"\n'
    )
    command = ["experiment", str(job), "--out", str(out), "--labels", str(tiny_labels)]
    ran = CliRunner().invoke(main, [*command, "--only-done", "--threads", "1"])
    assert "1 of 2 runs are done. Tables and figures" in ran.output, ran.output
    ran = CliRunner().invoke(main, [*command, "--list"])
    assert ran.output == "done\tFlat\tseed 0\nto do\tFlat\tseed 1\n"
