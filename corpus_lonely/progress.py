"""How long work tells how far it is: a protocol that the rooms call and the command line draws."""

from typing import Protocol


class Progress(Protocol):
    """Receives the course of one task at a time; implementations decide what to show."""

    def start(self, task: str, total: float | None, unit: str, done: float = 0.0) -> None:
        """A task begins; `total` is in `unit`s, None when it is not known.

        done: how much of the total an earlier run has done; it counts for no rate.
        """

    def advance(self, amount: float, detail: str = "") -> None:
        """`amount` more units are done; `detail` is a few words shown beside the bar."""

    def finish(self) -> None:
        """The task has ended."""

    def note(self, message: str) -> None:
        """One line worth reading, now."""


class Silent:
    """Shows nothing: the default of every library function."""

    def start(self, task: str, total: float | None, unit: str, done: float = 0.0) -> None: ...

    def advance(self, amount: float, detail: str = "") -> None: ...

    def finish(self) -> None: ...

    def note(self, message: str) -> None: ...
