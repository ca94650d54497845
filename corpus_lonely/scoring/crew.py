"""Which workers of a cluster are there, and what a user is told when they die, leave, or stay away."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from corpus_lonely.cluster import Cluster
from corpus_lonely.errors import ScoringError
from corpus_lonely.scoring.patience import Reminder

POLL_S = 1.0
_LOST_AFTER_S = 30.0
_TELL_AFTER_S = 60.0
"""Of waiting without any worker."""
_AWAY = "went away"
_HOW: dict[object, str] = {True: "left in order", False: "died"}
"""By whether the scheduler expected a worker to go; one that is stopped without a word has died."""


class Crew:
    """The workers that are alive, as of the last look."""

    def __init__(self, cluster: Cluster, note: Callable[[str], None]) -> None:
        self._cluster, self._note = cluster, note
        self.alive: set[str] = set()
        """Their addresses."""
        self._looked = self._answered = 0.0
        self._alone_since: float | None = None
        self._reminder = Reminder(_TELL_AFTER_S)

    def look(self) -> None:
        """Sees now and then who is alive; ScoringError when the scheduler is gone."""
        now = time.monotonic()
        if now - self._looked < POLL_S:
            return
        self._looked = now
        try:
            alive = self._cluster.workers()
        except OSError:
            alive = None
        if alive is None or not self._cluster.alive():
            if now - self._answered > _LOST_AFTER_S:
                raise lost(self._cluster.address)
            return
        self._answered = now
        if gone := self.alive - alive:
            self._note(f"{self._told(gone)}; their shards are handed out again")
        self.alive = alive
        self._wait(now)

    def _wait(self, now: float) -> None:
        """Tells now and then that nobody is there: a queue may take hours, so the run does not end."""
        if self.alive:
            self._alone_since = None
            self._reminder.reset()
            return
        if self._alone_since is None:
            self._alone_since = now
        waited = now - self._alone_since
        if self._reminder.due(waited):
            minutes = int(waited / 60)
            self._note(
                f"No worker for {minutes} minute{'' if minutes == 1 else 's'}; waiting for one. "
                "Ctrl-C is safe: what is done is kept"
            )

    def _told(self, gone: set[str]) -> str:
        """How many of the workers are gone, and how."""
        (how, count), *others = sorted(Counter(map(self._how, gone)).items())
        told = [f"{count} of {len(self.alive)} workers {how}"]
        return ", ".join([*told, *(f"{count} {how}" for how, count in others)])

    def _how(self, worker: str) -> str:
        """How a worker went, as far as the scheduler knows: its walltime's end is no death."""
        with suppress(OSError, RuntimeError):
            for _, event in reversed(self._cluster.client.get_events(worker)):
                if isinstance(event, dict) and event.get("action") == "remove-worker":
                    return _HOW.get(event.get("expected"), _AWAY)
        return _AWAY


def lost(where: str) -> ScoringError:
    """What a run ends with when its scheduler is gone."""
    return ScoringError(
        "the scheduler is gone",
        where=where,
        hint="What is done is kept: run the same command again to go on",
    )
