"""What a user is told of a run that does not move: of workers that are silent, of parts that never end."""

import time
from collections.abc import Callable, Iterable

from corpus_lonely.scoring.flights import Flight

_SILENT_S = 600.0
"""Without a word from any worker."""
_NAMED = 3
_TOLD_BEGINS = 3
MAX_BEGINS = 10
"""A part that was begun so often is given up: it takes longer than its workers live."""


class Reminder:
    """When to tell of a wait: after a while, and again each time that it has doubled."""

    def __init__(self, after_s: float) -> None:
        self._first_s = self._next_s = after_s

    def due(self, waited_s: float) -> bool:
        """Whether it is to be told now."""
        if waited_s < self._next_s:
            return False
        self._next_s = 2 * waited_s
        return True

    def reset(self) -> None:
        """The wait is over."""
        self._next_s = self._first_s


class Patience:
    """Since when nothing was heard."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._reminder = Reminder(_SILENT_S)
        self.heard()

    def heard(self) -> None:
        """Somebody has told something, or there is nobody who could."""
        self._since = time.monotonic()
        self._reminder.reset()

    def look(self, flights: Iterable[Flight]) -> None:
        """Tells now and then who should have been heard of by now."""
        silent = time.monotonic() - self._since
        if not self._reminder.due(silent):
            return
        at_work = [f"{one.shard.part} at {one.worker}" for one in flights if one.worker]
        more = f" and {len(at_work) - _NAMED:,} more" if len(at_work) > _NAMED else ""
        who = f"; at work are {', '.join(at_work[:_NAMED])}{more}" if at_work else ""
        self._note(
            f"Nothing was heard of any worker for {silent / 60:.0f} minutes{who}. See whether their disks "
            "answer. Ctrl-C is safe: what is done is kept"
        )

    def begun(self, flight: Flight) -> None:
        """Tells of a part that is begun once more, the third time."""
        if flight.begins == _TOLD_BEGINS:
            self._note(f"{flight.shard.part} was begun {_TOLD_BEGINS} times: {LONGER}")


LONGER = (
    "it may take longer than a worker lives. A longer --walltime helps, or smaller --shard-rows in "
    "another --out"
)
