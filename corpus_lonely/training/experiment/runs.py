"""The runs of an experiment: trained one after the other, each resumable, and skipped when it is done."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from corpus_lonely import metrics
from corpus_lonely.errors import BusyError, OutputError
from corpus_lonely.files import read_json
from corpus_lonely.inference.engine import EngineSettings
from corpus_lonely.metrics import Array
from corpus_lonely.model.ensemble import asked
from corpus_lonely.progress import Progress
from corpus_lonely.taxonomy import Taxonomy
from corpus_lonely.training.card import public_settings
from corpus_lonely.training.claim import holder
from corpus_lonely.training.experiment.compare import Results
from corpus_lonely.training.experiment.predictions import predict
from corpus_lonely.training.experiment.spec import Experiment, System, slug
from corpus_lonely.training.labels import LabelledPosts
from corpus_lonely.training.settings import TrainSettings
from corpus_lonely.training.train import RECORD, train_model, trained_before

DONE, OTHER, TO_DO = "done", "other settings", "to do"
"""States of a run."""


@dataclass(frozen=True)
class Trained:
    """A system with its seeds trained and judged."""

    system: System
    predicted_SNL: Array
    results: list[Results]
    """One a seed."""
    seeds: tuple[int, ...] = ()
    """None of an ensemble."""
    histories: list[list[dict[str, Any]]] = field(default_factory=list)
    """The Trainer's logs, one a seed; none of an ensemble."""
    epochs: list[tuple[float, float]] = field(default_factory=list)
    """Best epoch and epochs run, one a seed; none of an ensemble."""


@dataclass(frozen=True)
class Place:
    """Where an experiment keeps what it makes."""

    out: Path

    def model(self, system: System, seed: int) -> Path:
        """The model folder of one run."""
        return self.out / "models" / system.slug / f"seed-{seed}"

    def is_done(self, system: System, seed: int) -> bool:
        """Whether that run has come to its end."""
        return (self.model(system, seed) / RECORD).is_file()

    def state(self, experiment: Experiment, system: System, seed: int) -> str:
        """`done`, `other settings`, `to do`, or who is at it; labels and encoders are not opened for it."""
        out = self.model(system, seed)
        if not self.is_done(system, seed):
            at_it = holder(out)
            return f"in progress: {at_it}" if at_it else TO_DO
        told: dict[str, Any] = read_json(out / RECORD).get("settings", {})
        settings = experiment.settings(system, seed, out, "any")
        wanted = public_settings(settings.identity())
        same = all(
            told.get(key) == value
            for key, value in wanted.items()
            if key not in ("labels", "encoder")
        )
        return DONE if not told or (same and told.keys() == wanted.keys()) else OTHER

    def predictions(self, system: System, seed: int) -> Path:
        """The numbers that the model gives the posts that are judged."""
        return self.out / "predictions" / system.slug / f"seed-{seed}.safetensors"

    def encoder(self, name: str) -> Path:
        """An adapted encoder."""
        return self.out / "encoders" / slug(name)

    def has_encoder(self, name: str) -> bool:
        """Whether that encoder has been adapted, and is still there."""
        return (self.encoder(name) / "config.json").is_file()


class Runs:
    """Trains and judges systems, and says how far it is."""

    def __init__(
        self,
        experiment: Experiment,
        place: Place,
        encoders: Mapping[str, str],
        posts: LabelledPosts,
        engine: EngineSettings,
        progress: Progress,
    ) -> None:
        """encoders: those that can be trained on, a name under `[encoders]` to what `train` is told."""
        self._experiment, self._place, self._encoders = experiment, place, encoders
        self._posts, self._engine, self._progress = posts, engine, progress
        self._systems = list(all_systems(experiment, posts.targets.taxonomy))
        self._known: set[tuple[str, int]] = set()  # looked at before

    def train(self, some: Experiment) -> list[BusyError]:
        """Every run of `some` of the experiment, the transfer's among them; those that others are at are told.

        Runs whose encoder is not to be had are passed over.
        """
        wanted = list(all_runs(some, self._posts.targets.taxonomy))
        busy = []
        for number, (system, seed) in enumerate(wanted, 1):
            out = self._place.model(system, seed)
            told = f"Run {number} of {len(wanted)}: {system.name}, seed {seed}"
            if system.encoder not in self._encoders:
                self._progress.note(f"{told}, waits for its encoder")
                continue
            self._progress.note(told if not out.exists() else f"{told}, is there already")
            try:
                self._run(train_model, system, seed)
            except BusyError as error:
                self._progress.note(str(error))
                busy.append(error)
            else:
                self._predict(system, seed)
        return busy

    def done(self, *, strict: bool) -> Iterator[Trained]:
        """Every system of which runs are done, with their seeds.

        strict: raise OutputError for a run of other settings; else it is named and left out.
        """
        for system in self._systems:
            seeds = tuple(s for s in self._experiment.seeds if self._is_ours(system, s, strict))
            if not seeds:
                continue
            runs = [self._predict(system, seed) for seed in seeds]
            yield Trained(
                system=system,
                seeds=seeds,
                predicted_SNL=np.stack([predicted_NL for predicted_NL, _ in runs]),
                results=[self._judge(system, predicted_NL) for predicted_NL, _ in runs],
                histories=[record["history"] for _, record in runs],
                epochs=[(record["best_epoch"], record["epochs"]) for _, record in runs],
            )

    def _is_ours(self, system: System, seed: int, strict: bool) -> bool:
        if not self._place.is_done(system, seed):
            return False
        try:
            if system.encoder in self._encoders:
                if (system.name, seed) not in self._known:
                    self._run(lambda settings, _: trained_before(settings), system, seed)
            elif self._place.state(self._experiment, system, seed) == OTHER:
                raise other_settings(self._place.model(system, seed))
        except OutputError as error:
            if strict:
                raise
            self._progress.note(f"Left out: {error}")
            return False
        return True

    def _run(
        self, step: Callable[[TrainSettings, Progress], object], system: System, seed: int
    ) -> None:
        out = self._place.model(system, seed)
        settings = self._experiment.settings(system, seed, out, self._encoders[system.encoder])
        try:
            step(settings, self._progress)
        except OutputError as error:
            if "other settings" not in str(error):
                raise
            raise other_settings(out) from error
        self._known.add((system.name, seed))

    def _predict(self, system: System, seed: int) -> tuple[Array, dict[str, Any]]:
        out = self._place.model(system, seed)
        kept = self._place.predictions(system, seed)
        predicted_NL = predict(out, self._posts, kept, self._engine, self._progress)
        record: dict[str, Any] = read_json(out / RECORD)
        return predicted_NL, record

    def _judge(self, system: System, predicted_NL: Array) -> Results:
        only = {**self._experiment.train, **system.options}.get("only", ())
        return judge(self._posts, predicted_NL, only)


def other_settings(out: Path) -> OutputError:
    """That the model in that folder is not the experiment's."""
    return OutputError(
        "holds a model of other settings or labels than the experiment's",
        where=out,
        hint="Give another --out, or remove that folder to train it anew",
    )


def judge(posts: LabelledPosts, predicted_NL: Array, only: Sequence[str] = ()) -> Results:
    """The metrics of each group, or of some of them."""
    judged = metrics.evaluate(posts.targets, predicted_NL)
    return {group: found for group, found in judged.items() if not only or group in only}


def averaged(members: Sequence[Trained], posts: LabelledPosts) -> Trained:
    """Systems and their seeds as one: each group's mean over those that `ensemble` asks for it."""
    taxonomy = posts.targets.taxonomy
    mean_NL = members[0].predicted_SNL.mean(axis=0)
    learnt = [g for g in taxonomy.slices if any(g in member.results[0] for member in members)]
    for group in learnt:
        part = taxonomy.slices[group]
        some = asked([member.results[0] for member in members], group)
        every = [members[place].predicted_SNL[:, :, part] for place in some]
        mean_NL[:, part] = np.concatenate(every).mean(axis=0)
    models = sum(len(member.predicted_SNL) for member in members)
    name = " + ".join(member.system.name for member in members)
    told = (
        f"{name}, {models} seeds' mean" if len(members) == 1 else f"{name}, {models} models' mean"
    )
    system = replace(members[0].system, name=told, paper=None)
    return Trained(system, mean_NL[None], [judge(posts, mean_NL, learnt)])


def all_systems(experiment: Experiment, taxonomy: Taxonomy) -> Iterator[System]:
    """The experiment's systems, then those of its transfer matrix: each group alone."""
    yield from experiment.systems
    for system in experiment.systems:
        if system.name in experiment.transfer:
            for group in taxonomy.groups:
                yield alone(system, group.name)


def all_runs(experiment: Experiment, taxonomy: Taxonomy) -> Iterator[tuple[System, int]]:
    """Each system with each seed."""
    for system in all_systems(experiment, taxonomy):
        for seed in experiment.seeds:
            yield system, seed


def alone(system: System, group: str) -> System:
    """The same system, with one group to learn and no other."""
    options = {**system.options, "only": (group,)}
    return replace(system, name=f"{system.name}, {group} alone", options=options, paper=None)
