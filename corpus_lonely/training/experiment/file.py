"""The TOML file of an experiment, read and checked whole."""

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from corpus_lonely.errors import SettingsError
from corpus_lonely.training.adaptation.settings import AdaptSettings
from corpus_lonely.training.experiment.spec import Adaptation, Experiment, System, check, paper
from corpus_lonely.training.settings import TrainSettings

_LISTS = frozenset({"inputs", "exclude", "only"})
"""Options that take a list; one alone need not be in one."""
_RUNS_OWN = {"labels", "encoder", "out", "seed", "overwrite"}
"""Of TrainSettings: what the experiment itself decides."""
_EVERY_RUN = frozenset(field.name for field in fields(TrainSettings)) - _RUNS_OWN
_KINDS = {
    "labels": str,
    "encoders": dict,
    "systems": list,
    "split": str,
    "baseline": str,
    "train": dict,
    "replicates": int,
}
_TOLD = {str: "a text", dict: "a table", list: "a list of tables", int: "a whole number"}
_ADAPTATION = frozenset(field.name for field in fields(AdaptSettings)) - {
    "encoder",
    "out",
    "overwrite",
}


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
    for key, kind in _KINDS.items():
        if key in content and type(content[key]) is not kind:
            raise SettingsError(f"{key} must be {_TOLD[kind]}, got {content[key]!r}")
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
    where = f"encoders.{name}"
    if isinstance(told, str) and told:
        return told
    if not isinstance(told, dict) or not isinstance(told.get("adapt"), str):
        raise SettingsError(
            f"{where} must be a model's name, or a table with `adapt`, the encoder to adapt"
        )
    own = _options(where, {k: v for k, v in told.items() if k != "adapt"}, _ADAPTATION)
    if "inputs" not in own:
        raise SettingsError(f"{where}: input is missing, the posts to adapt it to")
    adaptation = Adaptation(told["adapt"], own)
    try:
        adaptation.settings("any", Path("any"), {})
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from error
    return adaptation


def _system(entry: Any, encoders: dict[str, Any]) -> System:
    if not isinstance(entry, dict) or not entry.get("name"):
        raise SettingsError("each of [[systems]] must have a name")
    name = entry["name"]
    if not isinstance(name, str):
        raise SettingsError(f"each of [[systems]] must have a text for its name, got {name!r}")
    encoder = entry.get("encoder", next(iter(encoders)))
    if encoder not in list(encoders):
        raise SettingsError(
            f"system {name!r}: encoder must be one of {', '.join(encoders)}, got {encoder!r}"
        )
    row = entry.get("paper")
    if row is not None and row not in list(paper()):
        raise SettingsError(
            f"system {name!r}: paper must be one of {', '.join(paper())}, got {row!r}"
        )
    own = {key: value for key, value in entry.items() if key not in ("name", "encoder", "paper")}
    return System(name, encoder, _options(f"system {name!r}", own, _EVERY_RUN), row)


def _options(where: str, told: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Settings by their fields' names, from the options that a table of the file gives."""
    options: dict[str, Any] = {}
    for key, value in told.items():
        name = "inputs" if key == "input" else key.replace("-", "_")
        if name in options:
            raise SettingsError(f"{where}: {key} stands twice, written in two ways")
        options[name] = _listed(value) if name in _LISTS else value
    _refuse_unknown(f"{where}: ", options, set(known))
    return options


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _refuse_unknown(where: str, told: dict[str, Any], known: set[str]) -> None:
    for key in told:
        if key not in known:
            raise SettingsError(f"{where}there is no {key!r}; there are {', '.join(sorted(known))}")
