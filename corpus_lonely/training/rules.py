"""Rules that settings keep, each told with the option's name, what it may be, and what it is."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, get_args, get_type_hints

from corpus_lonely.errors import SettingsError


@dataclass(frozen=True)
class Range:
    """Numbers that a setting may be."""

    told: str
    """After `must be`."""
    holds: Callable[[Any], bool]


def at_least(least: float) -> Range:
    """From this on."""
    return Range(f"at least {least}", lambda value: value >= least)


ABOVE_0 = Range("above 0", lambda value: value > 0)
SHARE = Range("from 0 to below 1", lambda value: 0 <= value < 1)
PROPER_SHARE = Range("above 0 and below 1", lambda value: 0 < value < 1)
SEED = Range("from 0 to 2^32 - 1", lambda value: 0 <= value < 2**32)


_TYPES: dict[Any, Range] = {
    bool: Range("true or false", lambda value: isinstance(value, bool)),
    int: Range("a whole number", lambda value: _is_number(value) and isinstance(value, int)),
    float: Range("a finite number", lambda value: _is_number(value) and math.isfinite(value)),
    str: Range("a text", lambda value: isinstance(value, str)),
    tuple[str, ...]: Range(
        "a list of texts",
        lambda value: (
            isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
        ),
    ),
}
"""What settings may be, by the type that their field is declared with."""


def check_types(settings: object) -> None:
    """Raises SettingsError for the first setting of another type than its field's: a file may hold any."""
    for name, (kind, optional) in _declared(type(settings)).items():
        value = getattr(settings, name)
        if not (value is None and optional) and not _TYPES[kind].holds(value):
            raise SettingsError(f"{option(name)} must be {_TYPES[kind].told}, got {value!r}")


def check_choices(settings: object, choices: Mapping[str, tuple[Any, ...]]) -> None:
    """Raises SettingsError for the first setting that is none of its choices."""
    for name, allowed in choices.items():
        value = getattr(settings, name)
        if value not in allowed:
            raise SettingsError(
                f"{option(name)} must be one of {', '.join(allowed)}, got {value or repr(value)}"
            )


def check_ranges(settings: object, ranges: Mapping[str, Range]) -> None:
    """Raises SettingsError for the first number out of its range; None, where nothing was given, is in it."""
    for name, allowed in ranges.items():
        value = getattr(settings, name)
        if value is not None and not allowed.holds(value):
            raise SettingsError(f"{option(name)} must be {allowed.told}, got {value}")


def option(name: str) -> str:
    """How a setting is called on the command line."""
    return "--input" if name == "inputs" else f"--{name.replace('_', '-')}"


def _declared(settings: type) -> dict[str, tuple[Any, bool]]:
    """Each field's type that rules are there for, and whether it may be None."""
    found = {}
    for name, hint in get_type_hints(settings).items():
        optional = isinstance(hint, UnionType)
        kind = get_args(hint)[0] if optional else hint
        if kind in _TYPES:
            found[name] = (kind, optional)
    return found


def _is_number(value: Any) -> bool:
    # to Python, true is the number 1
    return isinstance(value, int | float) and not isinstance(value, bool)
