"""Dask's performance report: one HTML page of what workers and scheduler did with their time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from distributed import Client

from corpus_lonely.errors import InputError, OutputError, SettingsError, first_line
from corpus_lonely.files import atomic_path

_HOW = "Install it with: pip install bokeh"


def check_report(path: Path) -> None:
    """SettingsError when no report can be made here; OutputError when it could not be written."""
    if find_spec("bokeh") is None:
        raise SettingsError("--report needs the package bokeh, which is not installed", hint=_HOW)
    if path.is_dir():
        raise OutputError("is a folder; --report takes the name of a file", where=path)


@contextmanager
def reported(client: Client, path: Path, note: Callable[[str], None]) -> Iterator[None]:
    """Writes the report of what happens in the block, however it ends: also by Ctrl-C."""
    if not client.run_on_scheduler(_has_bokeh):
        raise InputError("--report needs the package bokeh where the scheduler runs", hint=_HOW)
    began, count = time.time(), client.run_on_scheduler(_monitor_count)
    client.get_task_stream(start=0, stop=0)  # from now on the scheduler keeps it
    try:
        yield
    finally:
        try:
            _write(client, path, began, count)
            note(f"Performance report: {path}")
        except Exception as error:  # noqa: BLE001  (whatever it is: the scores matter more)
            note(f"The performance report could not be made ({first_line(error)})")


def _write(client: Client, path: Path, began: float, count: int) -> None:
    scheduler: Any = client.scheduler
    page = client.sync(
        scheduler.performance_report,
        start=began,
        last_count=count,
        mode="inline",  # so that it can be looked at without a network
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, "utf-8")


def _has_bokeh() -> bool:
    return find_spec("bokeh") is not None


def _monitor_count(dask_scheduler: Any) -> int:
    return int(dask_scheduler.monitor.count)
