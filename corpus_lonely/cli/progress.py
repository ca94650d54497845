"""Progress on stderr: a bar with rate and time left in a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_LINE_EVERY_S = 15.0


class _Rate(ProgressColumn):
    """Units a second since the task began."""

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed or 0.0
        return Text(f"{_number(rate)} {task.fields['unit']}/s", style="progress.data.speed")


class TerminalProgress:
    """Implements `corpus_lonely.progress.Progress` with rich; a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._bars: Progress | None = None
        self._bar: TaskID | None = None
        self._unit, self._done, self._before = "", 0.0, 0.0
        self._total: float | None = None
        self._began = self._told = 0.0

    def start(self, task: str, total: float | None, unit: str, done: float = 0.0) -> None:
        """See `Progress.start`."""
        self.finish()
        self._unit, self._total = unit, total
        self._done = self._before = done
        self._began = self._told = time.monotonic()
        if not self._console.is_terminal:
            self._console.print(f"{task} ...", markup=False)
            return
        self._bars = Progress(
            SpinnerColumn(finished_text="[green]✓[/green]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[detail]}"),
            console=self._console,
        )
        self._bar = self._bars.add_task(
            task, total=total, completed=int(done), unit=unit, detail=""
        )
        self._bars.start()

    def advance(self, amount: float, detail: str = "") -> None:
        """See `Progress.advance`."""
        self._done += amount
        if self._bars is not None and self._bar is not None:
            self._bars.update(self._bar, advance=amount, detail=detail)
            return
        now = time.monotonic()
        if now - self._told >= _LINE_EVERY_S:
            self._told = now
            self._console.print(
                f"  {self._line(now)} {detail}".rstrip(), markup=False, soft_wrap=True
            )

    def _line(self, now: float) -> str:
        rate = (self._done - self._before) / max(now - self._began, 1e-9)
        if not self._total:
            return f"{self._done:,.0f} {self._unit}, {_number(rate)}/s"
        left = (self._total - self._done) / rate if rate else 0.0
        share = 100 * self._done / self._total
        return (
            f"{share:3.0f} %, {self._done:,.0f} of {self._total:,.0f} {self._unit}, "
            f"{_number(rate)}/s, {_duration(left)} left"
        )

    def finish(self) -> None:
        """See `Progress.finish`."""
        if self._bars is not None and self._bar is not None:
            if self._total is None:
                self._bars.update(self._bar, total=self._done, completed=self._done)
            self._bars.stop()
        self._bars = self._bar = None

    def note(self, message: str) -> None:
        """See `Progress.note`."""
        (self._bars.console if self._bars else self._console).print(
            message, markup=False, soft_wrap=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.finish()


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
