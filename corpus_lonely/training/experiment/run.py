"""An experiment from its settings to its page."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from corpus_lonely.errors import LabelsError, OutputError, SettingsError
from corpus_lonely.inference.engine import EngineSettings
from corpus_lonely.metrics import mean_targets
from corpus_lonely.model.encoder import find_encoder
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.training.adaptation.run import adapt_encoder
from corpus_lonely.training.experiment.report import Report
from corpus_lonely.training.experiment.runs import Place, Runs, all_systems, alone
from corpus_lonely.training.experiment.spec import Adaptation, Experiment, check
from corpus_lonely.training.labels import load_labels


@dataclass(frozen=True)
class ExperimentReport:
    """What an experiment came to."""

    page: Path
    runs: int


def run_experiment(
    experiment: Experiment,
    out: Path,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    *,
    only_done: bool = False,
) -> ExperimentReport:
    """Adapts, trains, judges and compares; interrupted and called again, it goes on where it was.

    only_done: judge and compare the runs that are done, and begin none.
    device, threads: as in `TrainSettings`; where given they stand above what the experiment's file says.
    Raises LabelsError, ModelError, OutputError or SettingsError in one line.
    """
    progress = progress or Silent()
    machine = _machine(device, threads)
    experiment = replace(experiment, train={**experiment.train, **machine})
    taxonomy = loneliness()
    splits = load_labels(experiment.labels, taxonomy)
    for split in ("train", experiment.split):
        if split not in splits:
            raise LabelsError(
                f"has no {split} split; it has {', '.join(splits)}", where=experiment.labels
            )
    place = Place(out)
    encoders = {
        name: str(place.encoder(name))
        if only_done and isinstance(told, Adaptation)
        else _encoder(told, experiment.labels, place.encoder(name), machine, progress)
        for name, told in experiment.encoders.items()
        if name in {system.encoder for system in experiment.systems}
    }
    posts = splits[experiment.split]
    told = {key: experiment.train[key] for key in ("device", "threads") if key in experiment.train}
    engine = EngineSettings(**told)
    runs = Runs(experiment, place, encoders, posts, engine, progress)
    trained = list(runs.trained(only_done=only_done))
    shown = _left(experiment, {entry.system.name for entry in trained})
    if not shown.systems:
        raise OutputError(
            "holds no finished run of this experiment",
            where=out,
            hint="Run the same command without --only-done",
        )
    means_L = np.asarray(mean_targets(splits["train"].targets))
    page = Report(shown, posts, means_L, trained, out).write()
    return ExperimentReport(page, sum(len(entry.seeds) for entry in trained))


def planned(experiment: Experiment, out: Path) -> list[tuple[str, int, bool]]:
    """System, seed and whether it is done, of every run."""
    place = Place(out)
    return [
        (system.name, seed, place.is_done(system, seed))
        for system in all_systems(experiment, loneliness())
        for seed in experiment.seeds
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


def _encoder(
    told: str | Adaptation, labels: str, out: Path, machine: dict[str, Any], progress: Progress
) -> str:
    """What `train` is told: the encoder, once it is adapted if it is to be."""
    if isinstance(told, str):
        find_encoder(told)  # a folder that is no model is told before hours are spent
        return told
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
    return str(out)


def _machine(device: str, threads: int | None) -> dict[str, Any]:
    """What was given; else what the experiment's file says stands."""
    told: dict[str, Any] = {} if device == "auto" else {"device": device}
    return told if threads is None else {**told, "threads": threads}
