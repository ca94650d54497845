"""Rules that settings keep, each told with the option's name, what it may be, and what it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
FLAG = (False, True)
SEED = Range("from 0 to 2^32 - 1", lambda value: 0 <= value < 2**32)


def check_choices(settings: object, choices: Mapping[str, tuple[Any, ...]]) -> None:
    """Raises SettingsError for the first setting that is none of its choices."""
    for name, allowed in choices.items():
        value = getattr(settings, name)
        if not any(value == one and type(value) is type(one) for one in allowed):
            told = f"one of {', '.join(allowed)}" if allowed != FLAG else "true or false"
            raise SettingsError(f"{option(name)} must be {told}, got {value}")


def check_ranges(settings: object, ranges: Mapping[str, Range]) -> None:
    """Raises SettingsError for the first number out of its range; None, where nothing was given, is in it."""
    for name, allowed in ranges.items():
        value = getattr(settings, name)
        if value is not None and not allowed.holds(value):
            raise SettingsError(f"{option(name)} must be {allowed.told}, got {value}")


def option(name: str) -> str:
    """How a setting is called on the command line."""
    return f"--{name.replace('_', '-')}"
