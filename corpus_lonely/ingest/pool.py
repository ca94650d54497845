"""Blocks to several processes at once, through memory that they share; or one after the other in this one."""

import multiprocessing
import os
import queue
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from corpus_lonely.errors import OutputError
from corpus_lonely.ingest.authors import AuthorKey
from corpus_lonely.ingest.blocks import BlockDone, BlockReader, BlockTask
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.memory import keep_freed_memory

STAGED_BYTES = 8 << 20
"""Plain bytes of a block that is staged: the unit of work, and of what an interruption can lose."""
_SLOT_BYTES = STAGED_BYTES + (1 << 20)
_SHARED = Path("/dev/shm")  # noqa: S108  # looked at, not written to
"""Where Linux keeps shared memory; containers often have 64 MB of it, and writing more is fatal."""


class Blocks(Protocol):
    """Takes blocks, and gives what became of them."""

    def submit(self, task: BlockTask, pieces: Sequence[bytes]) -> Future[BlockDone]:
        """Begins with a block; waits while too many are under way."""


@contextmanager
def block_pool(settings: IngestSettings, key: AuthorKey | None, processes: int) -> Iterator[Blocks]:
    """processes: 0 stays within this process."""
    if not processes:
        yield _Here(BlockReader(settings, key))
        return
    # started afresh, for this process has threads, which a fork would not survive
    executor = ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), _begin, (settings, key)
    )
    # all of them now: one that began while the death of another is noticed would be waited for in vain
    for _ in range(processes):
        executor.submit(_ready)
    slots = _slots(processes + 2)
    try:
        yield _Elsewhere(executor, slots, processes + 2)
    finally:
        executor.shutdown(cancel_futures=True)
        for slot in slots:
            slot.close()
            slot.unlink()


class _Here:
    def __init__(self, reader: BlockReader) -> None:
        self._reader = reader

    def submit(self, task: BlockTask, pieces: Sequence[bytes]) -> Future[BlockDone]:
        done: Future[BlockDone] = Future()
        done.set_result(self._reader(task, b"".join(pieces)))
        return done


class _Elsewhere:
    def __init__(
        self, executor: ProcessPoolExecutor, slots: list[SharedMemory], at_once: int
    ) -> None:
        """at_once: blocks under way; without slots they go through pipes, which is slower."""
        self._executor = executor
        self._free: queue.SimpleQueue[SharedMemory | None] = queue.SimpleQueue()
        for number in range(at_once):
            self._free.put(slots[number] if slots else None)

    def submit(self, task: BlockTask, pieces: Sequence[bytes]) -> Future[BlockDone]:
        slot, size = self._free.get(), sum(map(len, pieces))
        try:
            if slot is None or slot.buf is None or size > slot.size:
                future = self._executor.submit(_read, task, b"".join(pieces))
            else:
                end = 0
                for piece in pieces:
                    begin, end = end, end + len(piece)
                    slot.buf[begin:end] = piece
                future = self._executor.submit(_read_slot, task, slot.name, size)
        except (BrokenProcessPool, OSError) as error:  # OSError: while its pool finds it gone
            raise worker_died(task) from error
        future.add_done_callback(lambda _: self._free.put(slot))
        return future


def worker_died(task: BlockTask) -> OutputError:
    """What to say when a process of the pool ended by itself."""
    return OutputError(
        "a process that read blocks was ended from outside, by want of memory perhaps",
        where=task.path.parent,
        hint="Run the same command again, with fewer --processes: it goes on where it was",
    )


def _slots(count: int) -> list[SharedMemory]:
    """Shared memory for blocks; none where there is too little."""
    if _SHARED.exists() and shutil.disk_usage(_SHARED).free < 2 * count * _SLOT_BYTES:
        return []
    return [SharedMemory(create=True, size=_SLOT_BYTES) for _ in range(count)]


_reader: BlockReader | None = None
_attached: dict[str, SharedMemory] = {}


class _NoPandas(MetaPathFinder):
    """Says that there is no pandas."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


def spare_pandas() -> None:
    """Keeps pyarrow from importing pandas in this process, which takes it half a second.

    It does so when it first makes an array, to be able to tell Series from lists: for processes of
    our own alone, which have no Series.
    """
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([None])
    finally:
        sys.meta_path.remove(finder)


def _begin(settings: IngestSettings, key: AuthorKey | None) -> None:
    """The beginning of a process of the pool."""
    global _reader  # noqa: PLW0603  # a process has one, made once: the pool gives no other place
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # before it is imported: a process a core needs no thread a core each
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    spare_pandas()
    keep_freed_memory()
    _reader = BlockReader(settings, key)


def _ready() -> None:
    """Nothing to do: the pool begins a process for it, where all that it has are busy or not yet there."""


def _end_with_parent() -> None:
    """A parent that is killed leaves its children waiting for ever otherwise."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _read(task: BlockTask, data: bytes | memoryview) -> BlockDone:
    if _reader is None:
        raise AssertionError("a process of the pool began without its reader")
    return _reader(task, data)


def _read_slot(task: BlockTask, slot: str, size: int) -> BlockDone:
    if slot not in _attached:
        _attached[slot] = SharedMemory(slot)
    buffer = _attached[slot].buf
    if buffer is None:
        raise AssertionError(f"shared memory {slot} was closed")
    return _read(task, buffer[:size])
