"""How a run goes: what has become of its shards so far, and the words beside its bar."""

import time

from corpus_lonely.progress import Progress
from corpus_lonely.scoring.dispatch import Executor
from corpus_lonely.scoring.parts import Counts
from corpus_lonely.scoring.task import ShardFailure, ShardResult
from corpus_lonely.scoring.todo import Todo


class Course:
    """Running totals: nothing here grows with the number of shards but a byte for each."""

    def __init__(self, todo: Todo, progress: Progress, executor: Executor) -> None:
        self._progress, self._executor = progress, executor
        self._done = todo.done
        self.counts = todo.counts
        """Over all that stands of what was to do."""
        self.failures: list[ShardFailure] = []
        self.halvings = self.batch_tokens = 0
        self._seen: dict[int, int] = {}  # of shards in work: posts that their bars have counted
        self._scored = 0
        self._landed = Counts()
        self._began = time.monotonic()
        progress.start("Scoring", todo.own_rows, "posts", done=todo.counts.rows)

    @property
    def succeeded(self) -> bool:
        """Whether any shard of this run is done; what earlier runs did is no part of it."""
        return self._landed.rows > 0

    def heard(self, index: int, scored: int) -> None:
        """A worker tells how many posts of a shard it has scored."""
        new = scored - self._seen.get(index, 0)
        if index not in self._done and new > 0:  # one that is begun again tells less at first
            self._seen[index] = scored
            self._advance(new)

    def landed(self, result: ShardResult) -> None:
        """A shard is done."""
        self.counts += result.counts
        self._landed += result.counts
        self.halvings += result.halvings
        if result.halvings:
            self.batch_tokens = min(self.batch_tokens or result.batch_tokens, result.batch_tokens)
        self._end(result.shard.index, result.shard.rows)

    def failed(self, failure: ShardFailure) -> None:
        """A shard was given up."""
        self.failures.append(failure)
        self._end(failure.shard.index, failure.shard.rows)

    def _end(self, index: int, rows: int) -> None:
        self._done.add(index)
        self._advance(rows - self._seen.pop(index, 0))

    def _advance(self, posts: int) -> None:
        self._scored += posts
        self._progress.advance(posts, self._detail())

    def _detail(self) -> str:
        workers, retries = self._executor.workers(), self._executor.retries()
        told = [f"{workers} worker{'' if workers == 1 else 's'}"]
        if self._landed.rows:
            told.insert(0, f"{self._tokens_per_s():,.0f} tokens/s")
        if retries:
            told.append(f"{retries} started again")
        if self.failures:
            told.append(f"{len(self.failures)} set aside")
        return ", ".join(told)

    def _tokens_per_s(self) -> float:
        """Posts a second, times the tokens that a post of the finished shards has in the mean."""
        posts_per_s = self._scored / max(time.monotonic() - self._began, 1e-9)
        return posts_per_s * self._landed.tokens / self._landed.rows
