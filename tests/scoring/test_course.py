"""What a user is told while a run goes on, and what the driver keeps of it."""

import tracemalloc
from collections import deque
from collections.abc import Generator, Iterable
from pathlib import Path

import pyarrow as pa
import pytest

from corpus_lonely.scoring import course
from corpus_lonely.scoring.course import Course
from corpus_lonely.scoring.inputs import Posts
from corpus_lonely.scoring.marks import Marks
from corpus_lonely.scoring.parts import Counts
from corpus_lonely.scoring.plan import Shard, count_shards, cut_shards
from corpus_lonely.scoring.settings import ScoreSettings
from corpus_lonely.scoring.task import Heard as Ear
from corpus_lonely.scoring.task import Outcome, Ready, ShardFailure, ShardResult, Task
from corpus_lonely.scoring.todo import Todo
from tests.scoring.test_flights import Clock
from tests.scoring.test_job import Heard
from tests.scoring.test_plan import RUN, _file


class Made:
    """An executor that makes up what comes back."""

    def __init__(self, again: int = 0) -> None:
        self._again = again

    def prepare(self, task: Task) -> Ready:
        raise NotImplementedError

    def score(self, shards: Iterable[Shard], task: Task, heard: Ear) -> Generator[Outcome]:
        raise NotImplementedError

    def workers(self) -> int:
        return 3

    def retries(self) -> int:
        return self._again


class Told(Heard):
    """Keeps the last words beside the bar, and a sum in place of all amounts."""

    detail = ""
    sum = 0.0

    def advance(self, amount: float, detail: str = "") -> None:
        self.sum += amount
        self.detail = detail


def make_todo(shards: int, done: int = 0) -> Todo:
    run = RUN.__class__(**{**RUN.to_dict(), "carried": (), "shard_rows": 100})
    posts = Posts((_file(100 * shards),), "text", pa.schema([]))
    marks = Marks()
    for index in range(done):
        marks.add(index)
    settings = ScoreSettings("posts", Path("model"), Path("out"))
    counts = Counts(rows=100 * done, ok=100 * done, tokens=5000 * done)
    return Todo(settings, posts, run, False, {}, marks, counts, shards, 100 * shards)


def result(shard: Shard, tokens: int, halvings: int = 0, batch_tokens: int = 8192) -> ShardResult:
    return ShardResult(shard, Counts(rows=100, ok=100, tokens=tokens), 1.0, halvings, batch_tokens)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(course, "time", clock)
    return clock


def test_the_words_beside_the_bar(clock: Clock) -> None:
    todo, told = make_todo(10, done=4), Told()
    going = Course(todo, told, Made(again=2))
    shards = list(todo.shards())
    assert [shard.index for shard in shards] == [4, 5, 6, 7, 8, 9]
    assert (told.total, told.before) == (1000, 400)
    clock.now = 2.0
    going.heard(4, 30)
    assert told.detail == "3 workers, 2 started again"
    clock.now = 4.0
    going.landed(result(shards[0], tokens=1700))
    # 100 posts in 4 s, of 17 tokens each; what earlier runs did is no part of it
    assert told.detail == "425 tokens/s, 3 workers, 2 started again"
    going.heard(5, 60)
    going.heard(5, 20)  # begun again
    going.heard(5, 70)
    assert told.detail.startswith("722 tokens/s")  # 170 posts by now
    going.failed(ShardFailure(shards[1], "no"))
    going.heard(5, 90)  # too late
    assert told.detail.endswith("2 started again, 1 set aside")
    assert told.sum == 200
    assert (going.counts.rows, going.counts.tokens) == (500, 21_700)


def test_how_often_memory_ran_out_is_summed_and_the_smallest_batch_told() -> None:
    todo = make_todo(4)
    going = Course(todo, Told(), Made())
    one, two, three, _ = todo.shards()
    going.landed(result(one, 10))
    going.landed(result(two, 10, halvings=2, batch_tokens=2048))
    going.landed(result(three, 10, halvings=1, batch_tokens=4096))
    assert (going.halvings, going.batch_tokens) == (3, 2048)


def test_the_driver_keeps_a_few_bytes_of_a_shard() -> None:
    """Thirty thousand shards through all that a run keeps; a list of them alone takes 6 MB."""
    many = 30_000
    todo, told = make_todo(many), Told()
    assert count_shards(todo.posts, 100) == many == todo.parts
    going, window = Course(todo, told, Made()), deque[Shard]()
    tracemalloc.start()
    for shard in todo.shards():
        going.heard(shard.index, 1)
        window.append(shard)
        if len(window) > 32:
            going.landed(result(window.popleft(), tokens=9))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert going.counts.rows == 100 * (many - 32)
    assert grown < 8 * many


def test_marks_are_a_set() -> None:
    marks = Marks()
    for index in (5, 0, 5, 1000):
        marks.add(index)
    assert len(marks) == 3
    assert [index for index in range(2000) if index in marks] == [0, 5, 1000]


def test_counting_shards_is_cutting_them() -> None:
    for rows in ((0,), (1, 0, 7), (100, 101, 99)):
        posts = Posts(tuple(_file(n) for n in rows), "text", pa.schema([]))
        assert count_shards(posts, 10) == len(list(cut_shards(posts, 10)))
