"""A scoring run from settings to report: plans, looks at what is done, has the rest scored."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from corpus_lonely.cluster import ClusterSettings, count_gpus, open_cluster
from corpus_lonely.errors import InputError, OutputError, ScoringError, SettingsError
from corpus_lonely.inference.folder import NUMERICS_VERSION, ModelFacts, model_facts
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.scoring.dispatch import Executor, InProcess, OnCluster
from corpus_lonely.scoring.inputs import Posts, find_posts, is_inside
from corpus_lonely.scoring.parts import Counts, Output, total
from corpus_lonely.scoring.plan import Run, Shard, cut_shards, default_shard_rows
from corpus_lonely.scoring.worker import Ready, ShardFailure, Task, versions
from corpus_lonely.tables import SCORE_FACTS

BATCH_TOKENS = 8192
_NAMED_FAILURES = 3
_HOPELESS = 5
"""When this many shards fail before one succeeds, the rest would fail as well."""


@dataclass(frozen=True)
class ScoreSettings:
    """What to score with what, and where."""

    input: str
    """A Parquet file, a folder, a glob, or a URL that fsspec knows."""
    model: Path
    """A folder that `corpus-lonely train` made."""
    out: Path
    text_column: str = "text"
    keep: tuple[str, ...] = ()
    """Columns of the input to carry along, besides `tables.PASSED_THROUGH`."""
    max_tokens: int | None = None
    """Tokens kept per post; None: what the folder was begun with, else as in training."""
    batch_tokens: int | None = None
    """Padded tokens in a batch; None: what the folder was begun with, else 8192."""
    precision: str = "auto"
    """`bf16`, `fp32`; `auto`: what the folder was begun with, else bf16 where the device has it."""
    device: str = "auto"
    shard_rows: int | None = None
    """Rows per shard; None: what the folder was begun with, else `plan.default_shard_rows`."""
    overwrite: bool = False
    """Replace the parts of another run, once this one can begin; its own parts stay."""
    cluster: ClusterSettings = field(default_factory=ClusterSettings)

    def __post_init__(self) -> None:
        if self.shard_rows is not None and self.shard_rows < 1:
            raise SettingsError(f"--shard-rows must be at least 1, got {self.shard_rows}")
        if is_inside(self.out, self.input):
            raise SettingsError(f"--out must not lie inside --input, got {self.out}")


@dataclass(frozen=True)
class ScoreReport:
    """What a run made."""

    counts: Counts
    """Over the whole folder."""
    shards: int
    shards_before: int
    """Done by earlier runs."""
    seconds: float
    """From the first shard handed out to the last one done."""
    posts_per_s: float
    """Of this run's own shards."""


def score_posts(settings: ScoreSettings, progress: Progress | None = None) -> ScoreReport:
    """Scores all posts of the input into `out`, or what of it is not done yet.

    Raises InputError, ModelError, OutputError, SettingsError before the work starts; OutputError when
    the disk is full; ScoringError when the others are done and some shards could not be.
    """
    progress = progress or Silent()
    output = Output(settings.out)
    model = model_facts(settings.model)
    taken = {*model.taxonomy.score_columns, *SCORE_FACTS}
    posts = find_posts(settings.input, settings.text_column, settings.keep, taken)
    with output.locked():
        run, stale = _plan(settings, model, posts, output)
        shards = list(cut_shards(posts, run.shard_rows))
        done = {} if stale else output.done(run, shards)
        output.clean()
        todo = [shard for shard in shards if shard.index not in done]
        job = _Job(settings, output, posts, shards, done, progress, stale)
        seconds = job.work(run, todo) if todo else 0.0
        output.clean()
    scored = sum(shard.rows for shard in todo)
    return ScoreReport(
        counts=total(job.done.values()),
        shards=len(shards),
        shards_before=len(shards) - len(todo),
        seconds=seconds,
        posts_per_s=scored / seconds if seconds else 0.0,
    )


def _plan(
    settings: ScoreSettings, model: ModelFacts, posts: Posts, output: Output
) -> tuple[Run, bool]:
    """What this run is, and whether the parts in the folder must go first.

    What the settings leave open is as the folder was begun, if it was. With --overwrite, parts of this
    very run stay: a rerun after an interruption goes on.
    """
    begun = output.begun()
    wanted = _wanted(settings, model, posts, begun)
    if not begun or not (differences := wanted.differences(begun)):
        return wanted, False
    if settings.overwrite:
        return _wanted(settings, model, posts, None), True
    raise OutputError(
        f"was begun with {'; '.join(differences)}",
        where=settings.out,
        hint="Choose another --out, or give --overwrite to start anew",
    )


def _wanted(settings: ScoreSettings, model: ModelFacts, posts: Posts, begun: Run | None) -> Run:
    return Run(
        model=model.fingerprint,
        taxonomy=model.taxonomy.fingerprint,
        input=posts.sha256,
        text_column=settings.text_column,
        carried=tuple(posts.carried.names),
        max_tokens=settings.max_tokens or (begun.max_tokens if begun else model.max_tokens),
        batch_tokens=settings.batch_tokens or (begun.batch_tokens if begun else BATCH_TOKENS),
        precision=begun.precision if begun and settings.precision == "auto" else settings.precision,
        shard_rows=settings.shard_rows
        or (begun.shard_rows if begun else default_shard_rows(posts.rows, _gpus(settings))),
        numerics_version=NUMERICS_VERSION,
    )


def _gpus(settings: ScoreSettings) -> int:
    if settings.device not in ("auto", "cuda") or not settings.cluster.here:
        return 0
    return count_gpus()


class _Job:
    """The part of a run that needs workers."""

    def __init__(
        self,
        settings: ScoreSettings,
        output: Output,
        posts: Posts,
        shards: Sequence[Shard],
        done: dict[int, Counts],
        progress: Progress,
        stale: bool,
    ) -> None:
        self.stale = stale
        self.settings, self.output, self.posts, self.shards = settings, output, posts, shards
        self.done, self.progress = done, progress
        self.failures: list[ShardFailure] = []
        self._seen: dict[int, int] = {}

    def work(self, run: Run, todo: Sequence[Shard]) -> float:
        """Scores what is left to do; returns the seconds it took."""
        with _executor(self.settings, self.progress) as executor:
            task = self._task(run)
            ready = executor.prepare(task)
            _check(ready)
            run = replace(run, precision=ready.precision)
            self.progress.note(f"Model loaded: {ready.device}, {ready.precision}.")
            if self.stale:
                self.output.clear()  # only now that nothing stands in the way of making them anew
            self.output.describe(self._description(run))
            began = time.perf_counter()
            self._score(executor, replace(task, run=run), todo)
            seconds = time.perf_counter() - began
        self._end(run)
        return seconds

    def _task(self, run: Run) -> Task:
        return Task(
            run=run,
            model=self.settings.model.absolute(),
            out=self.settings.out.absolute(),
            device=self.settings.device,
            threads=self.settings.cluster.threads,
            carried=self.posts.carried,
            parts=len(self.shards),
        )

    def _description(self, run: Run) -> dict[str, Any]:
        return {
            "kind": "scores",
            "input": self.settings.input,
            "model": str(self.settings.model),
            "rows": self.posts.rows,
            "shards": len(self.shards),
            "run": run.to_dict(),
            "versions": versions(),
        }

    def _score(self, executor: Executor, task: Task, todo: Sequence[Shard]) -> None:
        left = sum(shard.rows for shard in todo)
        rows = self.posts.rows
        waiting = {shard.index for shard in todo}
        self.progress.start("Scoring", rows, "posts", done=rows - left)

        def heard(index: int, scored: int) -> None:
            new = scored - self._seen.get(index, 0)
            if index in waiting and new > 0:  # one that is begun again tells less at first
                self._seen[index] = scored
                self.progress.advance(new, self._detail(executor))

        for outcome in executor.score(todo, task, heard):
            shard = outcome.shard
            waiting.discard(shard.index)
            if isinstance(outcome, ShardFailure):
                self._set_aside(outcome)
            else:
                self.done[shard.index] = outcome.counts
            unseen = shard.rows - self._seen.pop(shard.index, 0)
            self.progress.advance(unseen, self._detail(executor))
        self.progress.finish()

    def _detail(self, executor: Executor) -> str:
        workers = executor.workers()
        told = f"{workers} worker{'' if workers == 1 else 's'}"
        return f"{told}, {len(self.failures)} shards set aside" if self.failures else told

    def _set_aside(self, failure: ShardFailure) -> None:
        if failure.fatal:
            raise failure.fatal
        self.failures.append(failure)
        self.progress.note(f"Set aside {failure.shard}: {failure.reason}")
        if len(self.failures) >= _HOPELESS and not self.done:
            raise self._error(f"the first {_HOPELESS} shards failed")

    def _end(self, run: Run) -> None:
        description = self._description(run)
        if self.failures:
            aside = {failure.shard.part: failure.reason for failure in self.failures}
            self.output.describe({**description, "set_aside": aside})
            count = len(self.failures)
            raise self._error(f"{count} of {len(self.shards)} shards could not be scored")
        self.output.describe(description, total(self.done.values()))

    def _error(self, what: str) -> ScoringError:
        named = [f"{failure.shard}: {failure.reason}" for failure in self.failures]
        more = "" if len(named) <= _NAMED_FAILURES else f"; and {len(named) - _NAMED_FAILURES} more"
        return ScoringError(
            f"{what}: {'; '.join(named[:_NAMED_FAILURES])}{more}",
            where=self.settings.out,
            hint="The others are kept: run the same command again to try these once more",
        )


@contextmanager
def _executor(settings: ScoreSettings, progress: Progress) -> Iterator[Executor]:
    """Where the shards go: this process for --workers 0, else a cluster."""
    wanted = settings.cluster
    if wanted.workers == 0:
        yield InProcess()
        return
    if settings.device not in ("auto", "cuda"):
        wanted = replace(wanted, gpus=False)
    if wanted.workers is None and wanted.here and _is_one_device(settings.device):
        wanted = replace(wanted, workers=1)
    weights = (settings.model / "model.safetensors").stat().st_size
    needs = 2 * weights + (1 << 30)
    with open_cluster(wanted, bytes_per_worker=needs, note=progress.note) as cluster:
        watch = f"; watch them at {cluster.dashboard}" if cluster.dashboard else ""
        progress.note(f"{len(cluster.workers())} Dask workers{watch}")
        yield OnCluster(cluster, progress.note)


def _is_one_device(device: str) -> bool:
    """A device of which there is one, so that a second worker would only share it."""
    return device.startswith(("cuda:", "mps")) or (device == "auto" and sys.platform == "darwin")


def _check(ready: Ready) -> None:
    if ready.numerics_version != NUMERICS_VERSION:
        ours = versions()["corpus-lonely"]
        raise InputError(
            f"the workers run corpus-lonely {ready.versions['corpus-lonely']}, this process {ours}",
            hint="Use one environment on all hosts",
        )
