"""What will go wrong, and when: a schedule is drawn from its number alone, so that it can be repeated."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

EXTERNAL_SHARE = 0.3
"""Of the schedules that run on a scheduler and workers started apart, each of which can be killed."""
_LOCAL = ("worker", "worker", "driver", "group")
_APART = ("worker", "nanny", "scheduler", "driver")
_SIGNALS = ("kill", "kill", "kill", "kill", "term", "int", "stop", "stop")
_DAMAGES = ("cut", "overwritten", "overwritten", "empty", "gone", "longer")


@dataclass(frozen=True)
class Disturbance:
    """One thing that goes wrong during a run."""

    kind: str
    """`kill`, `term`, `int` and `stop` are signals; `fill` is the disk; `damage` is a part."""
    target: str
    """Who gets the signal (in a cluster that stands apart, `group` is the driver's); what damage."""
    progress: float | None
    """Share of the missing parts that the run has made by then; None: while it starts up."""
    delay_s: float
    """After that, or after the start."""
    lasts_s: float
    """For `stop` and `fill`, until it is undone."""

    def __str__(self) -> str:
        when = "start" if self.progress is None else f"{self.progress:.0%} of the parts"
        lasts = f" for {self.lasts_s:.1f} s" if self.kind in ("stop", "fill") else ""
        return f"{self.kind} {self.target} at {when} + {self.delay_s:.2f} s{lasts}"


@dataclass(frozen=True)
class Schedule:
    """The runs that are disturbed; after them comes one that is not."""

    number: int
    apart: bool
    """On a cluster that stands apart."""
    runs: tuple[tuple[Disturbance, ...], ...]

    def __str__(self) -> str:
        where = "on a cluster apart" if self.apart else "on a local cluster"
        runs = " | ".join("; ".join(map(str, run)) for run in self.runs)
        return f"schedule {self.number} {where}: {runs}"


def draw(number: int) -> Schedule:
    """The schedule of that number."""
    dice = random.Random(number)
    apart = dice.random() < EXTERNAL_SHARE
    runs = dice.choice((1, 1, 1, 2))
    return Schedule(number, apart, tuple(tuple(_run(dice, apart)) for _ in range(runs)))


def _run(dice: random.Random, apart: bool) -> Iterator[Disturbance]:
    """One to three disturbances, in the order of their moments."""
    count = dice.choice((1, 2, 2, 3))
    moments = sorted(dice.choice((-1.0, *(dice.random() for _ in range(5)))) for _ in range(count))
    for moment in moments:
        kind, target = _what(dice, apart)
        starting = moment < 0
        yield Disturbance(
            kind,
            target,
            progress=None if starting else moment,
            delay_s=dice.uniform(0, 10 if starting else 0.1),
            lasts_s=dice.choice((0.3, 1.0, 3.0)),
        )


def _what(dice: random.Random, apart: bool) -> tuple[str, str]:
    choice = dice.random()
    if choice < 0.15:
        return "fill", "disk"
    if choice < 0.40:
        return "damage", dice.choice(_DAMAGES)
    return dice.choice(_SIGNALS), dice.choice(_APART if apart else _LOCAL)
