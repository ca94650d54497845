"""What an experiment is told: a TOML file of encoders, systems, seeds and comparisons, checked whole."""

import re
import tomllib
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

from corpus_lonely.errors import SettingsError
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.training.adaptation.settings import AdaptSettings
from corpus_lonely.training.settings import TrainSettings

_LISTS = frozenset({"inputs", "exclude", "only"})
"""Options that take a list; one alone need not be in one."""
_RUNS_OWN = {"labels", "encoder", "out", "seed", "overwrite"}
"""Of TrainSettings: what the experiment itself decides."""
_EVERY_RUN = frozenset(field.name for field in fields(TrainSettings)) - _RUNS_OWN
_ADAPTATION = frozenset(field.name for field in fields(AdaptSettings)) - {
    "encoder",
    "out",
    "overwrite",
}


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
        """The adaptation; SettingsError when `adapt` would refuse it.

        labels: the experiment's: posts that its systems are judged on are always left out.
        machine: `device` and `threads`, where they were given.
        """
        exclude = tuple(dict.fromkeys([*self.options.get("exclude", ()), labels]))
        told = {**self.options, "exclude": exclude, **machine}
        return AdaptSettings(encoder=self.base, out=out, **told)


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
        except (SettingsError, TypeError) as error:
            raise SettingsError(f"system {system.name!r}: {error}") from error


def slug(name: str) -> str:
    """A name as a folder's: lower case, with dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


@cache
def paper() -> dict[str, dict[str, Any]]:
    """The paper's rows: key to title, group, metric, [mean, standard deviation]."""
    text = (files("corpus_lonely") / "training" / "experiment" / "paper.toml").read_text("utf-8")
    return tomllib.loads(text)


def read_experiment(path: Path) -> Experiment:
    """Reads and checks an experiment's file; SettingsError in one line names what is wrong in it."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is no TOML ({error})") from error
    try:
        return make_experiment(content)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def make_experiment(content: dict[str, Any]) -> Experiment:
    """An experiment from its file's content; SettingsError when it is none."""
    known = {entry.name for entry in fields(Experiment)}
    _refuse_unknown("", content, known)
    for key in ("labels", "encoders", "systems"):
        if not content.get(key):
            raise SettingsError(f"{key} is missing")
    encoders = {name: _encoder(name, told) for name, told in content["encoders"].items()}
    systems = tuple(_system(entry, encoders) for entry in content["systems"])
    plain: dict[str, Any] = {
        key: content[key] for key in ("labels", "split", "replicates") if key in content
    }
    plain |= {
        "seeds": _listed(content.get("seeds", (0, 1, 2))),
        "baseline": content.get("baseline", systems[0].name),
        "train": _options("[train]", content.get("train", {}), _EVERY_RUN),
        "transfer": _listed(content.get("transfer", ())),
        "ensembles": tuple(map(_listed, _listed(content.get("ensembles", ())))),
    }
    experiment = Experiment(encoders=encoders, systems=systems, **plain)
    check(experiment)
    return experiment


def _encoder(name: str, told: Any) -> str | Adaptation:
    if isinstance(told, str):
        return told
    if not isinstance(told, dict) or "adapt" not in told:
        raise SettingsError(
            f"encoders.{name} must be a model's name, or a table with `adapt`, the encoder to adapt"
        )
    own = {("inputs" if key == "input" else key): v for key, v in told.items() if key != "adapt"}
    adaptation = Adaptation(told["adapt"], _options(f"encoders.{name}", own, _ADAPTATION))
    try:
        adaptation.settings("any", Path("any"), {})
    except (SettingsError, TypeError) as error:
        raise SettingsError(f"encoders.{name}: {error}") from error
    return adaptation


def _system(entry: dict[str, Any], encoders: dict[str, Any]) -> System:
    if not isinstance(entry, dict) or not entry.get("name"):
        raise SettingsError("each of [[systems]] must have a name")
    name = entry["name"]
    encoder = entry.get("encoder", next(iter(encoders)))
    if encoder not in encoders:
        raise SettingsError(
            f"system {name!r}: encoder must be one of {', '.join(encoders)}, got {encoder!r}"
        )
    row = entry.get("paper")
    if row is not None and row not in paper():
        raise SettingsError(
            f"system {name!r}: paper must be one of {', '.join(paper())}, got {row!r}"
        )
    own = {key: value for key, value in entry.items() if key not in ("name", "encoder", "paper")}
    return System(name, encoder, _options(f"system {name!r}", own, _EVERY_RUN), row)


def _options(where: str, told: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    options = {key.replace("-", "_"): value for key, value in told.items()}
    _refuse_unknown(f"{where}: ", options, set(known))
    return {key: _listed(value) if key in _LISTS else value for key, value in options.items()}


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _refuse_unknown(where: str, told: dict[str, Any], known: set[str]) -> None:
    for key in told:
        if key not in known:
            raise SettingsError(f"{where}there is no {key!r}; there are {', '.join(sorted(known))}")


def check(experiment: Experiment) -> None:
    """SettingsError when the experiment cannot be run as it is told."""
    names = [system.name for system in experiment.systems]
    slugs = [system.slug for system in experiment.systems]
    for place, found in enumerate(slugs):
        if found in slugs[:place] or not found:
            raise SettingsError(f"system {names[place]!r}: its name stands twice, or is none")
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
            experiment.settings(system, seed, Path(system.slug), "any")


def _check_ensembles(experiment: Experiment, names: list[str]) -> None:
    groups = [group.name for group in loneliness().groups]
    known = [
        *names,
        *(f"{name}, {group} alone" for name in experiment.transfer for group in groups),
    ]
    for name in chain.from_iterable(experiment.ensembles):
        if name not in known:
            raise SettingsError(f"ensembles must name systems ({', '.join(known)}), got {name!r}")


def _check_numbers(experiment: Experiment) -> None:
    seeds = experiment.seeds
    if not seeds or len(set(seeds)) < len(seeds) or not all(isinstance(s, int) for s in seeds):
        raise SettingsError(f"seeds must be numbers, none twice, got {list(seeds)}")
    if not isinstance(experiment.replicates, int) or experiment.replicates < 100:
        raise SettingsError(f"replicates must be at least 100, got {experiment.replicates}")
    folders = [slug(name) for name in experiment.encoders]
    if len(set(folders)) < len(folders):
        raise SettingsError(
            f"encoders must have names that differ, got {list(experiment.encoders)}"
        )
