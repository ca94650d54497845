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
from corpus_lonely.scoring.plan import Member, Run, Shard, cut_shards, default_shard_rows
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
    shard_index: int | None = None
    """With `num_shards`: which share of the parts this process does, counted from 0."""
    num_shards: int | None = None
    """How many processes write into `out` together, each with another `shard_index`."""
    cluster: ClusterSettings = field(default_factory=ClusterSettings)

    def __post_init__(self) -> None:
        if self.shard_rows is not None and self.shard_rows < 1:
            raise SettingsError(f"--shard-rows must be at least 1, got {self.shard_rows}")
        if is_inside(self.out, self.input):
            raise SettingsError(f"--out must not lie inside --input, got {self.out}")
        self._check_member()

    def _check_member(self) -> None:
        index, of = self.shard_index, self.num_shards
        if index is None and of is None:
            return
        if index is None or of is None:
            raise SettingsError("--shard-index and --num-shards must be given together")
        if of < 1:
            raise SettingsError(f"--num-shards must be at least 1, got {of}")
        if not 0 <= index < of:
            raise SettingsError(
                f"--shard-index must be from 0 to {of - 1} with --num-shards {of}, got {index}"
            )
        if self.overwrite:
            raise SettingsError(
                "--overwrite cannot be given with --shard-index: the others may be writing there",
                hint="Choose another --out, or begin once with --overwrite and without it",
            )

    @property
    def member(self) -> Member | None:
        """Which share of the run is this process's; None when it does all."""
        if self.shard_index is None or self.num_shards is None:
            return None
        return Member(self.shard_index, self.num_shards)


@dataclass(frozen=True)
class ScoreReport:
    """What a run made."""

    counts: Counts
    """Over the whole folder, or the share of this process."""
    shards: int
    """Those that were this process's to do."""
    shards_before: int
    """Of these, done by earlier runs."""
    parts: int
    """All that make up the folder."""
    standing: int
    """Of these, those that are there."""
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
    with output.locked(shared=settings.member is not None):
        begun = output.begun() or (output.described() if settings.member else None)
        plan = _plan(settings, model, posts, output, begun)
        if not settings.member:
            output.clean()  # others' work in progress, if this is a member
        job = _Job(settings, output, model, posts, plan, progress)
        seconds = job.work() if plan.todo else 0.0
        standing = job.end()
        plan = job.plan
        if not settings.member:
            output.clean()
    scored = sum(shard.rows for shard in plan.todo)
    return ScoreReport(
        counts=total(job.done.values()),
        shards=len(plan.own),
        shards_before=len(plan.own) - len(plan.todo),
        parts=plan.parts,
        standing=standing,
        seconds=seconds,
        posts_per_s=scored / seconds if seconds else 0.0,
    )


@dataclass(frozen=True)
class _Plan:
    """What there is to do."""

    run: Run
    stale: bool
    """Whether the parts in the folder must go first."""
    parts: int
    own: list[Shard]
    """All shards, or those of this member."""
    done: dict[int, Counts]

    @property
    def todo(self) -> list[Shard]:
        return [shard for shard in self.own if shard.index not in self.done]


def _plan(
    settings: ScoreSettings, model: ModelFacts, posts: Posts, output: Output, begun: Run | None
) -> _Plan:
    run, stale = _settle(settings, model, posts, begun)
    shards = list(cut_shards(posts, run.shard_rows))
    member = settings.member
    own = [shard for shard in shards if member is None or member.has(shard)]
    done = {} if stale else output.done(run, own)
    return _Plan(run, stale, len(shards), own, done)


def _settle(
    settings: ScoreSettings, model: ModelFacts, posts: Posts, begun: Run | None
) -> tuple[Run, bool]:
    """What this run is, and whether the parts in the folder must go first.

    What the settings leave open is as the folder was begun, if it was. With --overwrite, parts of this
    very run stay: a rerun after an interruption goes on.
    """
    wanted = _wanted(settings, model, posts, begun)
    if not begun or not (differences := wanted.differences(begun)):
        return wanted, False
    if settings.overwrite:
        return _wanted(settings, model, posts, None), True
    raise OutputError(
        f"was begun with {'; '.join(differences)}",
        where=settings.out,
        hint="Give all processes the same settings, or choose another --out"
        if settings.member
        else "Choose another --out, or give --overwrite to start anew",
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
        model: ModelFacts,
        posts: Posts,
        plan: _Plan,
        progress: Progress,
    ) -> None:
        self.settings, self.output, self.model, self.posts = settings, output, model, posts
        self.plan, self.progress = plan, progress
        self.done = dict(plan.done)
        self.failures: list[ShardFailure] = []
        self._seen: dict[int, int] = {}

    def work(self) -> float:
        """Scores what is left to do; returns the seconds it took."""
        with _executor(self.settings, self.progress) as executor:
            self._begin(executor)
            began = time.perf_counter()
            self._score(executor, self._task(), self.plan.todo)
            return time.perf_counter() - began

    def _begin(self, executor: Executor) -> None:
        """Has the model loaded, and the folder described as this run's."""
        run = self._prepare(executor)
        if self.plan.stale:
            self.output.clear()  # only now that nothing stands in the way of making them anew
        if self.settings.member is None:
            self.output.describe(self._description(run))
        elif (stands := self.output.claim(self._description(run))) != run:
            # another member was first: what these settings leave open is as it has decided
            self.plan = _plan(self.settings, self.model, self.posts, self.output, stands)
            self.done = dict(self.plan.done)
            run = self._prepare(executor)
        self.plan = replace(self.plan, run=run)

    def _prepare(self, executor: Executor) -> Run:
        ready = executor.prepare(self._task())
        _check(ready)
        self.progress.note(f"Model loaded: {ready.device}, {ready.precision}.")
        return replace(self.plan.run, precision=ready.precision)

    def end(self) -> int:
        """Writes the totals once all parts stand; returns how many do."""
        run, parts = self.plan.run, self.plan.parts
        if self.failures:
            aside = {failure.shard.part: failure.reason for failure in self.failures}
            self.output.describe({**self._description(run), "set_aside": aside})
            count = len(self.failures)
            raise self._error(f"{count} of {len(self.plan.own)} shards could not be scored")
        done = self.done
        if len(done) < parts == self.output.count():
            done = self.output.done(run, list(cut_shards(self.posts, run.shard_rows)))
        if len(done) < parts:
            return self.output.count()
        if not self.output.totalled():
            self.output.describe(self._description(run), total(done.values()))
        return parts

    def _task(self) -> Task:
        return Task(
            run=self.plan.run,
            model=self.settings.model.absolute(),
            out=self.settings.out.absolute(),
            device=self.settings.device,
            threads=self.settings.cluster.threads,
            carried=self.posts.carried,
            parts=self.plan.parts,
        )

    def _description(self, run: Run) -> dict[str, Any]:
        return {
            "kind": "scores",
            "input": self.settings.input,
            "model": str(self.settings.model),
            "rows": self.posts.rows,
            "shards": self.plan.parts,
            "run": run.to_dict(),
            "versions": versions(),
        }

    def _score(self, executor: Executor, task: Task, todo: Sequence[Shard]) -> None:
        left = sum(shard.rows for shard in todo)
        rows = sum(shard.rows for shard in self.plan.own)
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
