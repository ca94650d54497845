"""A file that shows whether a worker's host sees the output folder of the run."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from corpus_lonely.errors import OutputError
from corpus_lonely.files import atomic_path, output_error
from corpus_lonely.scoring.parts import Output

_LAG_S = 10.0
"""A shared disk may show a new file so late on another host."""
_BETWEEN_LOOKS_S = 0.2


@dataclass(frozen=True)
class Probe:
    """A file in staging whose name and content nobody can guess."""

    name: str
    content: str


@contextmanager
def probing(output: Output) -> Iterator[Probe | None]:
    """Writes a probe for the time of the block; a store needs none, as its address says where it is.

    The folder itself is made too: of one that another host makes, a shared disk may tell for a minute
    that it is not there.
    """
    folder = output.folder
    if output.staging is None or not isinstance(folder, Path):
        yield None
        return
    probe = Probe(f"probe-{uuid.uuid4().hex}", uuid.uuid4().hex)
    path = output.staging / probe.name
    with atomic_path(path) as temporary:
        temporary.write_text(probe.content, "ascii")
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(error, folder) from error
        yield probe
    finally:
        for remove in (path.unlink, path.parent.rmdir, folder.rmdir):
            with suppress(OSError):  # folders stay that hold anything
                remove()


def check_probe(output: Output, probe: Probe) -> None:
    """OutputError where the probe that the driver wrote cannot be read."""
    _wait_for(lambda: _is_there(output, probe), output)


def check_part(output: Output, name: str) -> None:
    """OutputError where a part that a worker wrote does not come to be seen here."""
    _wait_for((output.folder / name).exists, output)


def _wait_for(seen: Callable[[], bool], output: Output) -> None:
    until = time.monotonic() + _LAG_S
    while not seen():
        if time.monotonic() > until:
            raise _not_shared(output)
        time.sleep(_BETWEEN_LOOKS_S)


def _not_shared(output: Output) -> OutputError:
    """What is told of a host that has another disk there."""
    return OutputError(
        "is not the folder that the process of this command sees there",
        where=output.folder,
        hint="Mount the shared disk under the same path on every host",
    )


def _is_there(output: Output, probe: Probe) -> bool:
    if output.staging is None:
        return True
    try:
        return (output.staging / probe.name).read_text("ascii") == probe.content
    except (OSError, ValueError):
        return False
