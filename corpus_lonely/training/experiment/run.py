"""An experiment from its settings to its page."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from corpus_lonely.errors import BusyError, LabelsError, OutputError, SettingsError
from corpus_lonely.files import atomic_path
from corpus_lonely.inference.engine import EngineSettings
from corpus_lonely.metrics import mean_targets
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.training.adaptation.run import adapt_encoder
from corpus_lonely.training.claim import claimed
from corpus_lonely.training.experiment.before import check_runs
from corpus_lonely.training.experiment.report import Report
from corpus_lonely.training.experiment.runs import (
    Place,
    Runs,
    Trained,
    all_runs,
    all_systems,
    alone,
)
from corpus_lonely.training.experiment.spec import Adaptation, Experiment, check
from corpus_lonely.training.labels import LabelledPosts, load_labels
from corpus_lonely.training.processes import one_process

_NAMED = ("figures/weights-*", "figures/transfer-*", "tables/transfer-*", "tables/differences.csv")
"""Files of a report that not every report has."""


_PATIENCE_S = 600.0
"""A report waits so long for another process's."""


@dataclass(frozen=True)
class ExperimentReport:
    """What an experiment came to."""

    page: Path
    runs: int
    """Done, of the whole experiment."""
    all_runs: int
    left: int = 0
    """Runs that other processes are at, or whose encoder they are at."""


def run_experiment(
    experiment: Experiment,
    out: Path,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    *,
    only_done: bool = False,
    some: Experiment | None = None,
) -> ExperimentReport:
    """Adapts, trains, judges and compares; interrupted and called again, it goes on where it was.

    only_done: judge and compare the runs that are done, and begin none.
    some: what to adapt and train of it, as `narrowed` gives it; what is compared is all that is done.
    device, threads: as in `TrainSettings`; where given they stand above what the experiment's file says.
    Raises LabelsError, ModelError, OutputError or SettingsError in one line.
    """
    one_process("experiment")
    progress = progress or Silent()
    machine = _machine(device, threads)
    experiment = replace(experiment, train={**experiment.train, **machine})
    some = replace(some or experiment, train=experiment.train)
    place = Place(out)
    if not only_done:
        check_runs(some, place, machine)
    splits = load_labels(experiment.labels, loneliness())
    for split in ("train", experiment.split):
        if split not in splits:
            raise LabelsError(
                f"has no {split} split; it has {', '.join(splits)}", where=experiment.labels
            )
    everything = list(all_runs(experiment, loneliness()))
    if only_done and not any(place.is_done(*one) for one in everything):
        raise _nothing(out)
    encoders, busy = _encoders(experiment, some, place, machine, only_done, progress)
    told = {key: experiment.train[key] for key in ("device", "threads") if key in experiment.train}
    engine = EngineSettings(**told)
    runs = Runs(experiment, place, encoders, splits[experiment.split], engine, progress)
    if not only_done:
        busy += runs.train(some)
    # others that share the experiment write the same files; whoever is last knows most
    with claimed(out / "report", _PATIENCE_S):
        trained = list(runs.done(strict=only_done))
        if not trained and busy:
            raise busy[0]
        page = _write(experiment, splits, trained, out)
    left = [one for one in all_runs(some, loneliness()) if busy and not place.is_done(*one)]
    return ExperimentReport(
        page, sum(len(entry.seeds) for entry in trained), len(everything), len(left)
    )


def _write(
    experiment: Experiment, splits: Mapping[str, LabelledPosts], trained: list[Trained], out: Path
) -> Path:
    there = {entry.system.name for entry in trained}
    shown = _left(experiment, there)
    if not shown.systems:
        raise _nothing(out)
    every = all_systems(experiment, loneliness())
    missing = [system.name for system in every if system.name not in there]
    means_L = np.asarray(mean_targets(splits["train"].targets))
    report = Report(shown, splits[experiment.split], means_L, trained, out, missing)
    with _without_stale(out):
        return report.write()


def _nothing(out: Path) -> OutputError:
    return OutputError(
        "holds no finished run of this experiment",
        where=out,
        hint="Run the same command without --only-done",
    )


@contextmanager
def _without_stale(out: Path) -> Iterator[None]:
    """Removes figures and tables of systems that an earlier report had, and the one written within has not."""
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / ".begun") as begun:  # the clock of the disk, which may be another host's
        begun.touch()
    since = (out / ".begun").stat().st_mtime_ns
    (out / ".begun").unlink()
    yield
    for pattern in _NAMED:
        for path in out.glob(pattern):
            if path.stat().st_mtime_ns < since:
                path.unlink()


def planned(experiment: Experiment, out: Path) -> list[tuple[str, int, str]]:
    """System, seed and state of every run, as `Place.state` tells it."""
    place = Place(out)
    return [
        (system.name, seed, place.state(experiment, system, seed))
        for system, seed in all_runs(experiment, loneliness())
    ]


def _left(experiment: Experiment, there: set[str]) -> Experiment:
    """The experiment with the systems that are there, and of the rest what has all of its systems."""
    systems = tuple(system for system in experiment.systems if system.name in there)
    names = [system.name for system in systems]
    whole = {
        system.name
        for system in systems
        if there >= {alone(system, group.name).name for group in loneliness().groups}
    }
    return replace(
        experiment,
        systems=systems,
        baseline=experiment.baseline if experiment.baseline in names else next(iter(names), ""),
        transfer=tuple(name for name in experiment.transfer if name in whole),
        ensembles=tuple(some for some in experiment.ensembles if there >= {*some}),
    )


def narrowed(
    experiment: Experiment, systems: tuple[str, ...], seeds: tuple[int, ...]
) -> Experiment:
    """Some of the systems and seeds, to share an experiment out or to look at it early."""
    names = [system.name for system in experiment.systems]
    for name in systems:
        if name not in names:
            raise SettingsError(f"--system must be one of {', '.join(names)}, got {name!r}")
    kept = tuple(s for s in experiment.systems if not systems or s.name in systems)
    wanted = replace(experiment, systems=kept, seeds=seeds or experiment.seeds)
    some = _left(wanted, {system.name for system in all_systems(wanted, loneliness())})
    check(some)
    return some


def _encoders(
    experiment: Experiment,
    some: Experiment,
    place: Place,
    machine: dict[str, Any],
    only_done: bool,
    progress: Progress,
) -> tuple[dict[str, str], list[BusyError]]:
    """What `train` is told of each encoder that is to be had, adapted first if it is to be; those that others are at."""
    wanted = {system.encoder for system in some.systems} if not only_done else set()
    found, busy = {}, []
    for name, told in experiment.encoders.items():
        if isinstance(told, str):
            found[name] = told
            continue
        out = place.encoder(name)
        try:
            if name in wanted:
                _adapt(told, experiment.labels, out, machine, progress)
        except BusyError as error:
            progress.note(str(error))
            busy.append(error)
            continue
        if place.has_encoder(name):
            found[name] = str(out)
        elif any(
            system.encoder == name and place.is_done(system, seed)
            for system, seed in all_runs(experiment, loneliness())
        ):
            progress.note(f"{out}: is not there; runs on it are taken by their settings alone.")
    return found, busy


def _adapt(
    told: Adaptation, labels: str, out: Path, machine: dict[str, Any], progress: Progress
) -> None:
    progress.note(f"Encoder {out.name}: {told.base}, adapted")
    try:
        adapt_encoder(told.settings(labels, out, machine), progress)
    except OutputError as error:
        if "other settings" not in str(error):
            raise
        raise OutputError(
            "holds an encoder of other settings or posts than the experiment's",
            where=out,
            hint="Give another --out, or remove that folder to adapt it anew",
        ) from error


def _machine(device: str, threads: int | None) -> dict[str, Any]:
    """What was given; else what the experiment's file says stands."""
    told: dict[str, Any] = {} if device == "auto" else {"device": device}
    return told if threads is None else {**told, "threads": threads}
