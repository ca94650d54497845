"""Where shards are scored: in this process, one after the other, or on a Dask cluster."""

import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Protocol

from corpus_lonely.cluster import open_cluster
from corpus_lonely.errors import CorpusLonelyError
from corpus_lonely.progress import Progress
from corpus_lonely.scoring.on_cluster import OnCluster
from corpus_lonely.scoring.performance import check_report, reported
from corpus_lonely.scoring.plan import Shard
from corpus_lonely.scoring.settings import ScoreSettings
from corpus_lonely.scoring.task import Heard, Outcome, Ready, Task
from corpus_lonely.scoring.worker import prepare, score_shard


class Executor(Protocol):
    """Where shards are scored."""

    def prepare(self, task: Task) -> Ready:
        """Has the model loaded; raises what keeps it from being so."""

    def score(self, shards: Iterable[Shard], task: Task, heard: Heard) -> Generator[Outcome]:
        """The outcomes of shards, in whatever order they are done; closing it ends the work."""

    def workers(self) -> int:
        """How many work now."""

    def retries(self) -> int:
        """How often a shard was started again, here or elsewhere."""


class InProcess:
    """One shard after the other, in this process and without Dask."""

    def prepare(self, task: Task) -> Ready:
        """See `Executor.prepare`."""
        ready = prepare(task)
        if isinstance(ready, CorpusLonelyError):
            raise ready
        return ready

    def score(self, shards: Iterable[Shard], task: Task, heard: Heard) -> Generator[Outcome]:
        """See `Executor.score`."""
        for shard in shards:
            yield score_shard(shard, task, partial(heard, shard.index))

    def workers(self) -> int:
        """See `Executor.workers`."""
        return 1

    def retries(self) -> int:
        """See `Executor.retries`."""
        return 0


@contextmanager
def open_executor(settings: ScoreSettings, progress: Progress) -> Iterator[Executor]:
    """Where the shards go: this process for --workers 0, else a cluster."""
    wanted = settings.cluster
    if wanted.workers == 0:
        yield InProcess()
        return
    if settings.report:
        check_report(settings.report)
    if settings.device.startswith("cuda:"):
        wanted = replace(wanted, pinned=False)  # else it would be the first and only one it sees
    elif settings.device not in ("auto", "cuda"):
        wanted = replace(wanted, gpus=False)
    if wanted.workers is None and wanted.here and _is_one_device(settings.device):
        wanted = replace(wanted, workers=1)
    weights = (settings.model / "model.safetensors").stat().st_size
    needs = 2 * weights + (1 << 30)
    with ExitStack() as stack:
        cluster = stack.enter_context(
            open_cluster(wanted, bytes_per_worker=needs, note=progress.note)
        )
        watch = f"; watch them at {cluster.dashboard}" if cluster.dashboard else ""
        count = len(cluster.workers())
        progress.note(f"{count} Dask worker{'' if count == 1 else 's'}{watch}")
        if settings.report:
            stack.enter_context(reported(cluster.client, settings.report, progress.note))
        yield OnCluster(cluster, progress.note, more_may_come=not wanted.here)


def _is_one_device(device: str) -> bool:
    """A device of which there is one, so that a second worker would only share it."""
    return device.startswith(("cuda:", "mps")) or (device == "auto" and sys.platform == "darwin")
