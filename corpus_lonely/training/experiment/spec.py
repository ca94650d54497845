"""What an experiment is told: encoders, systems, seeds and comparisons, checked whole."""

import re
import tomllib
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

from corpus_lonely.errors import SettingsError
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.training.adaptation.settings import AdaptSettings
from corpus_lonely.training.settings import TrainSettings, check_only


@dataclass(frozen=True)
class System:
    """One row of the tables: an encoder, a head, a weighting, and whatever else `train` can be told."""

    name: str
    encoder: str
    """A name under `[encoders]`."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of `TrainSettings`, over the experiment's own."""
    paper: str | None = None
    """The row of the paper's tables to stand beside: a table of `paper.toml`."""

    @property
    def slug(self) -> str:
        """The name as a folder."""
        return slug(self.name)


@dataclass(frozen=True)
class Adaptation:
    """An encoder that is adapted first, as `corpus-lonely adapt` does it."""

    base: str
    """A model folder, hub id or `minilm`."""
    options: dict[str, Any]
    """Of `AdaptSettings`."""

    def settings(self, labels: str, out: Path, machine: dict[str, Any]) -> AdaptSettings:
        """The adaptation; SettingsError when `adapt` would refuse it, with the options as the file has them.

        labels: the experiment's: posts that its systems are judged on are always left out.
        machine: `device` and `threads`, where they were given.
        """
        exclude = tuple(dict.fromkeys([*self.options.get("exclude", ()), labels]))
        told = {**self.options, "exclude": exclude, **machine}
        try:
            return AdaptSettings(encoder=self.base, out=out, **told)
        except SettingsError as error:
            raise SettingsError(as_keys(error)) from error


@dataclass(frozen=True)
class Experiment:
    """Systems x seeds."""

    labels: str
    encoders: dict[str, str | Adaptation]
    systems: tuple[System, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    """The paper: three."""
    split: str = "dev"
    """What the tables are of; the test split is for the final measurement only."""
    baseline: str = ""
    """The system that all others are compared with; by default the first."""
    train: dict[str, Any] = field(default_factory=dict)
    """Options of every run."""
    transfer: tuple[str, ...] = ()
    """Systems to train once more on each group alone: what a group gains from the others' company."""
    ensembles: tuple[tuple[str, ...], ...] = ()
    """Systems, the transfer's included, to judge once more by the mean of what their seeds give, as `ensemble`
    joins them: a row of its own, for no training."""
    replicates: int = 10_000
    """Of the bootstrap."""

    def settings(self, system: System, seed: int, out: Path, encoder: str) -> TrainSettings:
        """One run; SettingsError when `train` would refuse it."""
        try:
            return TrainSettings(
                labels=self.labels,
                encoder=encoder,
                out=out,
                seed=seed,
                **{**self.train, **system.options},
            )
        except SettingsError as error:
            raise SettingsError(f"system {system.name!r}: {as_keys(error)}") from error

    def with_labels(self, labels: str) -> "Experiment":
        """The same with other labels, also where an adaptation leaves out posts of those that the file names."""
        encoders: dict[str, str | Adaptation] = {}
        for name, told in self.encoders.items():
            encoders[name] = told
            if isinstance(told, Adaptation) and "exclude" in told.options:
                exclude = tuple(
                    labels if one == self.labels else one for one in told.options["exclude"]
                )
                encoders[name] = replace(told, options={**told.options, "exclude": exclude})
        return replace(self, labels=labels, encoders=encoders)


def slug(name: str) -> str:
    """A name as a folder's: lower case, with dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


@cache
def paper() -> dict[str, dict[str, Any]]:
    """The paper's rows: key to title, group, metric, [mean, standard deviation]."""
    text = (files("corpus_lonely") / "training" / "experiment" / "paper.toml").read_text("utf-8")
    return tomllib.loads(text)


def check(experiment: Experiment) -> None:
    """SettingsError when the experiment cannot be run as it is told."""
    names = [system.name for system in experiment.systems]
    _check_names(experiment, names)
    named = {
        "baseline": (experiment.baseline,),
        "transfer": experiment.transfer,
    }
    for key, wanted in named.items():
        for name in wanted:
            if name not in names:
                raise SettingsError(f"{key} must name systems ({', '.join(names)}), got {name!r}")
    _check_ensembles(experiment, names)
    _check_numbers(experiment)
    if experiment.split not in ("train", "dev", "test"):
        raise SettingsError(f"split must be train, dev or test, got {experiment.split!r}")
    for system in experiment.systems:  # what `train` would refuse is refused before hours are spent
        for seed in experiment.seeds:
            settings = experiment.settings(system, seed, Path(system.slug), "any")
            try:
                check_only(settings, loneliness())
            except SettingsError as error:
                raise SettingsError(f"system {system.name!r}: {as_keys(error)}") from error


def _check_names(experiment: Experiment, names: list[str]) -> None:
    """Each run has a folder of its own, called after its system."""
    folders: set[str] = set()
    for name in [*names, *_alone(experiment)]:
        if slug(name) in folders or not slug(name):
            raise SettingsError(f"system {name!r}: its name stands twice, or is none")
        folders.add(slug(name))


def _alone(experiment: Experiment) -> list[str]:
    """The names of the systems that learn one group each."""
    groups = [group.name for group in loneliness().groups]
    return [f"{name}, {group} alone" for name in experiment.transfer for group in groups]


def _check_ensembles(experiment: Experiment, names: list[str]) -> None:
    known = [*names, *_alone(experiment)]
    for name in chain.from_iterable(experiment.ensembles):
        if name not in known:
            raise SettingsError(f"ensembles must name systems ({', '.join(known)}), got {name!r}")
    joined = [frozenset(some) for some in experiment.ensembles]
    for place, some in enumerate(experiment.ensembles):
        if len(joined[place]) < len(some) or joined[place] in joined[:place]:
            raise SettingsError(f"ensembles must name each system once, got {list(some)}")


def _check_numbers(experiment: Experiment) -> None:
    seeds = experiment.seeds
    whole = all(type(seed) is int for seed in seeds)  # to Python, true is the number 1
    if not seeds or not whole or len(set(seeds)) < len(seeds):
        raise SettingsError(f"seeds must be whole numbers, none twice, got {list(seeds)}")
    if experiment.replicates < 100:
        raise SettingsError(f"replicates must be at least 100, got {experiment.replicates}")
    folders = [slug(name) for name in experiment.encoders]
    if len(set(folders)) < len(folders):
        raise SettingsError(
            f"encoders must have names that differ, got {list(experiment.encoders)}"
        )


def as_keys(error: SettingsError) -> str:
    """What is wrong, with options as a file has them: `max-tokens`, which is `--max-tokens` to a command."""
    return re.sub(r"(?<!\S)--(?=[a-z])", "", str(error))
