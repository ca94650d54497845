"""A scoring run from settings to report: plans, looks at what is done, has the rest scored."""

import time
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from corpus_lonely.errors import ModelError, ScoringError
from corpus_lonely.inference.folder import ModelFacts, model_facts
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.scoring.aside import Aside
from corpus_lonely.scoring.course import Course
from corpus_lonely.scoring.dispatch import Executor, open_executor
from corpus_lonely.scoring.inputs import find_posts, whole_address
from corpus_lonely.scoring.marks import Marks
from corpus_lonely.scoring.parts import Counts, Output
from corpus_lonely.scoring.plan import Run, cut_shards
from corpus_lonely.scoring.probe import Probe, probing
from corpus_lonely.scoring.settings import ScoreReport, ScoreSettings
from corpus_lonely.scoring.task import ShardFailure, Task
from corpus_lonely.scoring.todo import Todo, known_run, own_shards, plan_run
from corpus_lonely.scoring.worker import versions
from corpus_lonely.tables import SCORE_FACTS, part_name

__all__ = ["ScoreReport", "ScoreSettings", "score_posts"]

_NAMED_FAILURES = 3
_LOST = "a worker told that it is written, but it does not stand in the folder"
_HOPELESS = 5
"""When this many shards fail alike before one succeeds in a run, the rest would fail as well."""


def score_posts(settings: ScoreSettings, progress: Progress | None = None) -> ScoreReport:
    """Scores all posts of the input into `out`, or what of it is not done yet.

    Raises InputError, ModelError, OutputError, SettingsError before the work starts; OutputError when
    the disk is full; ScoringError when the others are done and some shards could not be.
    """
    output = Output(settings.out)
    model = model_facts(settings.model)
    if model.only:
        raise ModelError(
            f"has learnt {', '.join(model.only)} alone, so most of its scores would mean nothing",
            where=settings.model,
            hint="Train one without --only",
        )
    taken = {*model.taxonomy.score_columns, *SCORE_FACTS}
    posts = find_posts(settings.input, settings.text_column, settings.keep, taken)
    alone = settings.member is None
    with output.locked(shared=not alone):
        begun = known_run(settings, model, posts, output)
        todo = plan_run(settings, model, posts, output, begun)
        if alone:
            output.clean()  # others of a shared run have their work there
        progress = progress or Silent()
        if settings.report and not todo.left:
            progress.note("Nothing is left to do, so there is no performance report.")
        job = _Job(settings, output, model, todo, progress)
        report = job.work() if todo.left else job.report()
        report = replace(report, standing=job.end(report.counts))
        if alone:
            output.clean()
    return report


class _Job:
    """A run that has its plan."""

    def __init__(
        self,
        settings: ScoreSettings,
        output: Output,
        model: ModelFacts,
        todo: Todo,
        progress: Progress,
    ) -> None:
        self.settings, self.output, self.model = settings, output, model
        self.todo, self.progress = todo, progress
        self.aside = Aside(output)
        self.failures: list[ShardFailure] = []
        self._probe: Probe | None = None

    def work(self) -> ScoreReport:
        """Scores what is left to do."""
        shared = self.settings.cluster.workers != 0
        with (
            open_executor(self.settings, self.progress) as executor,
            probing(self.output) if shared else nullcontext() as self._probe,
        ):
            self._begin(executor)
            before = self.report()
            began = time.perf_counter()
            course = Course(self.todo, self.progress, executor)
            self._score(executor, course)
            seconds = time.perf_counter() - began
        self._look_at_own()
        scored = self.todo.own_rows - before.counts.rows
        return replace(
            before,
            counts=course.counts,
            seconds=seconds,
            posts_per_s=scored / seconds,
            halvings=course.halvings,
            batch_tokens=course.batch_tokens,
        )

    def report(self) -> ScoreReport:
        """What earlier runs have done of what there is to do."""
        return ScoreReport(
            counts=self.todo.counts,
            shards=self.todo.own,
            shards_before=len(self.todo.done),
            parts=self.todo.parts,
            standing=0,
            seconds=0.0,
            posts_per_s=0.0,
        )

    def _begin(self, executor: Executor) -> None:
        """Has the model loaded, and the folder described as this run's."""
        run = self._prepare(executor)
        if self.settings.member is None:
            if self.todo.stale:  # only now that nothing stands in the way of making it anew
                self.output.clear()
                self.aside.clear()
            self.output.describe(self._description(run))
        elif (stands := self.output.claim(self._description(run))) != run:
            # another member was first: what these settings leave open is as it has decided
            self.todo = plan_run(self.settings, self.model, self.todo.posts, self.output, stands)
            run = self._prepare(executor)
        self.todo = replace(self.todo, run=run)

    def _prepare(self, executor: Executor) -> Run:
        ready = executor.prepare(self._task())
        layout = "packed" if ready.packed else "padded"
        self.progress.note(f"Model loaded: {ready.device}, {ready.precision}, {layout}.")
        batch_tokens = self.todo.run.batch_tokens or ready.batch_tokens
        return replace(self.todo.run, precision=ready.precision, batch_tokens=batch_tokens)

    def _score(self, executor: Executor, course: Course) -> None:
        self.failures = course.failures
        # closed whatever happens, so that nothing of it goes on elsewhere
        with closing(executor.score(self.todo.shards(), self._task(), course.heard)) as outcomes:
            for outcome in outcomes:
                if not isinstance(outcome, ShardFailure):
                    course.landed(outcome)
                    if outcome.shard.index in self.todo.aside:
                        self.aside.forget(outcome.shard)
                    continue
                if outcome.fatal:
                    raise outcome.fatal
                self.aside.put(outcome.shard, outcome.reason)
                self.progress.note(f"Set aside {outcome.shard}: {outcome.reason}")
                course.failed(outcome)
                if self._hopeless(course):
                    raise self._error(f"the first {len(self.failures)} shards failed")
        self.progress.finish()

    def _hopeless(self, course: Course) -> bool:
        """Whether the rest would fail alike: none has succeeded in this run, and it is no file's fault.

        What had been set aside before says nothing of the rest: it may well fail again. Nor does a file
        that cannot be read say anything of another, or its first rows of the others.
        """
        if course.succeeded:
            return False
        failed = [one for one in course.failures if one.shard.index not in self.todo.aside]
        if len(failed) < _HOPELESS:
            return False
        tried = len({one.shard.file.name for one in failed})
        files = sum(file.rows > 0 for file in self.todo.posts.files)
        if any(one.unread for one in failed) or len({one.reason for one in failed}) > 1:
            return tried == files and 2 * len(failed) >= self.todo.own
        return tried >= min(_HOPELESS, files)

    def end(self, counts: Counts) -> int:
        """Writes the totals once all parts stand; returns how many do.

        counts: over what this run was to see to.
        Raises ScoringError when shards of it were set aside.
        """
        run, parts = self.todo.run, self.todo.parts
        if self.failures:
            self.output.describe(self._description(run))
            raise self._error(f"{len(self.failures)} of {self.todo.own} shards could not be scored")
        standing = parts if self.todo.own == parts else self.output.count()
        if standing == parts and self.todo.own < parts and not self.output.totalled():
            standing, counts = self._look_at_all()
        if standing == parts and not self.output.totalled():
            self.output.describe(self._description(run), counts)
        elif standing < parts and self.settings.retry_failed and not self.settings.member:
            self.output.describe(self._description(run))  # without those that are done now
        return standing

    def _look_at_own(self) -> None:
        """Counts as failed what a worker told of, but does not stand where this process looks."""
        own = partial(own_shards, self.settings, self.todo.posts, self.todo.run, self.todo.aside)
        seen = Marks()
        for shard in self.output.written(self.todo.run, own()):
            seen.add(shard.index)
        for failure in self.failures:
            seen.add(failure.shard.index)
        self.failures += [
            ShardFailure(shard, _LOST)
            for shard in own()
            # asked for by name as well: the listing of a shared disk may be seconds old
            if shard.index not in seen
            and not self.output.standing(self.todo.run, shard, read=False)
        ]

    def _look_at_all(self) -> tuple[int, Counts]:
        """How many parts stand, others' too, and what is in them."""
        shards = cut_shards(self.todo.posts, self.todo.run.shard_rows)
        standing, counts = 0, Counts()
        for _, found in self.output.done(self.todo.run, shards):
            standing, counts = standing + 1, counts + found
        return standing, counts

    def _task(self) -> Task:
        return Task(
            run=self.todo.run,
            model=self.settings.model.absolute(),
            out=self.settings.out.absolute(),
            device=self.settings.device,
            threads=self.settings.cluster.threads,
            carried=self.todo.posts.carried,
            parts=self.todo.parts,
            identities=self.todo.posts.identities,
            probe=self._probe,
        )

    def _description(self, run: Run) -> dict[str, Any]:
        content = {
            "kind": "scores",
            "input": whole_address(self.settings.input),
            "model": str(self.settings.model.absolute()),
            "rows": self.todo.posts.rows,
            "shards": self.todo.parts,
            "run": run.to_dict(),
            "versions": versions(),
        }
        if purged := self.output.purged if not self.todo.stale else 0:
            content["purged"] = purged
        aside = {part_name(index): reason for index, reason in self.aside.reasons().items()}
        return {**content, "set_aside": aside} if aside else content

    def _error(self, what: str) -> ScoringError:
        named = [f"{failure.shard}: {failure.reason}" for failure in self.failures]
        more = "" if len(named) <= _NAMED_FAILURES else f"; and {len(named) - _NAMED_FAILURES} more"
        kept = "The others are kept: run" if self.output.count() else "Mend that, and run"
        return ScoringError(
            f"{what}: {'; '.join(named[:_NAMED_FAILURES])}{more}",
            where=self.settings.out,
            hint=f"{kept} the same command again to try these once more, "
            "with --retry-failed to try these alone",
        )
