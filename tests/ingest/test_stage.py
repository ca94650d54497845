"""One file: what an interrupted run staged is taken, what is missing is read, and both make one whole."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_lonely.errors import OutputError
from corpus_lonely.ingest import codecs
from corpus_lonely.ingest import stage as module
from corpus_lonely.ingest.blocks import BlockDone, BlockTask
from corpus_lonely.ingest.dump import Dump, Position, open_dump
from corpus_lonely.ingest.given import Given
from corpus_lonely.ingest.pool import Blocks, block_pool
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.ingest.stage import Staged, already_staged, stage
from corpus_lonely.ingest.staged_file import read_staged, staged_facts
from corpus_lonely.ingest.writer import posts_schema, staged_schema
from tests.ingest.lines import write_dump
from tests.ingest.test_run import dirty

NAMES = staged_schema(posts_schema(keep_permalinks=False)).names


class Counting:
    """Passes blocks on, and stops at one of them."""

    def __init__(self, blocks: Blocks, stop_at: int = 10**9) -> None:
        self._blocks, self._stop_at = blocks, stop_at
        self.begun: list[int] = []

    def submit(self, task: BlockTask, pieces: Sequence[bytes]) -> Future[BlockDone]:
        if len(self.begun) == self._stop_at:
            raise KeyboardInterrupt
        self.begun.append(task.begin)
        return self._blocks.submit(task, pieces)


@pytest.fixture
def dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dump:
    """A file of about ten blocks with bad lines in several of them."""
    monkeypatch.setattr(module, "STAGED_BYTES", 6000)
    return open_dump(write_dump(tmp_path / "d.zst", dirty(5)))


def staged(dump: Dump, folder: Path, stop_at: int = 10**9) -> tuple[Staged, list[int]]:
    with block_pool(IngestSettings(keep_authors=True), None, 0) as blocks:
        counting = Counting(blocks, stop_at)
        return stage(dump, folder, counting, lambda *_: None), counting.begun


def content(result: Staged) -> tuple[object, ...]:
    tables = [
        read_staged(result.folder / name, batch, NAMES).to_pylist()
        for places in result.months.values()
        for name, batch in places
    ]
    return (result.read, result.dropped, result.months, tables, result.quarantine.read_text())


@pytest.mark.parametrize("stop_at", [1, 4])
def test_what_is_staged_is_not_read_again(dump: Dump, tmp_path: Path, stop_at: int) -> None:
    whole, begun = staged(dump, tmp_path / "whole")
    assert len(begun) > 6
    with pytest.raises(KeyboardInterrupt):
        staged(dump, tmp_path / "parts", stop_at)
    resumed, rest = staged(dump, tmp_path / "parts")
    assert rest == begun[stop_at:]
    assert content(resumed) == content(whole)
    lines = [json.loads(line)["line"] for line in whole.quarantine.read_text().splitlines()]
    raw = dirty(5)
    assert lines == [n for n, line in enumerate(raw, 1) if isinstance(line, bytes) and line]


def test_a_reader_that_is_stopped_leaves_no_mark_of_having_ended(
    dump: Dump, tmp_path: Path
) -> None:
    whole, begun = staged(dump, tmp_path / "whole")
    asked = iter([False, False, True])
    with (
        block_pool(IngestSettings(keep_authors=True), None, 0) as blocks,
        pytest.raises(CancelledError),
    ):
        stage(dump, tmp_path / "parts", blocks, lambda *_: None, lambda: next(asked))
    assert already_staged(dump, tmp_path / "parts") is None
    resumed, rest = staged(dump, tmp_path / "parts")
    assert rest == begun[2:]
    assert content(resumed) == content(whole)


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "length", "flipped"])
def test_a_damaged_block_and_all_after_it_are_read_again(
    dump: Dump, tmp_path: Path, damage: str
) -> None:
    whole, begun = staged(dump, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        staged(dump, tmp_path / "parts", 5)
    path = tmp_path / "parts" / f"{begun[2]:016d}.staged"
    before = path.read_bytes()
    digit = before.index(b'"lines": ') + 9
    path.write_bytes(
        {
            "cut": before[:-20],
            "empty": b"",
            "foreign": b"PAR1 and no more of it than this",
            "length": before[:-16] + b"\xff" * 8 + before[-8:],
            # another number of lines: JSON as before
            "flipped": before[:digit] + b"7" + before[digit + 1 :],
        }[damage]
    )
    assert path.read_bytes() != before
    resumed, rest = staged(dump, tmp_path / "parts")
    assert rest == begun[2:]
    assert content(resumed) == content(whole)


@pytest.fixture(scope="module")
def staged_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One block, with rows of several months."""
    folder = tmp_path_factory.mktemp("staged")
    result, _ = staged(open_dump(write_dump(folder / "d.zst", dirty(2))), folder / "parts")
    (path,) = result.folder.glob("*.staged")
    assert len(result.months) > 1
    return path


@given(data=st.data())
def test_no_flipped_bit_of_a_staged_file_goes_unseen(
    staged_file: Path, data: st.DataObject
) -> None:
    _, months = staged_facts(staged_file)
    content = bytearray(staged_file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = staged_file.with_suffix(".damaged")
    damaged.write_bytes(content)
    seen = 0
    reads: list[Callable[[], object]] = [partial(staged_facts, damaged)]
    reads += [partial(read_staged, damaged, batch, ["text"]) for batch in months.values()]
    for read in reads:
        try:
            read()
        except OSError as error:
            assert "checksum" in str(error)  # noqa: PT017
            seen += 1
    assert seen == 1


def test_a_damaged_mark_of_having_ended_is_no_mark(dump: Dump, tmp_path: Path) -> None:
    whole, _ = staged(dump, tmp_path / "whole")
    mark = whole.folder / "done.json"
    before = mark.read_text()
    other = before.replace(f'"read": {whole.read}', f'"read": {whole.read + 1}')
    for damage in ("", "[1]", '{"read": 3}', before[:-9], other):
        assert damage != before
        mark.write_text(damage)
        assert already_staged(dump, whole.folder) is None
    assert content(staged(dump, whole.folder)[0])[:3] == (whole.read, whole.dropped, whole.months)


def test_several_processes_stage_what_one_does(
    dump: Dump, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = staged(dump, tmp_path / "whole")
    # blocks of several pieces, as those of large files are
    monkeypatch.setattr(codecs, "READ_BYTES", 700)
    plain = tmp_path / "d.ndjson"
    plain.write_bytes(b"".join(piece.data for piece in codecs.decompress(dump.path)))
    dump = replace(open_dump(plain), given=Given(str(dump.path)))
    with block_pool(IngestSettings(keep_authors=True), None, 2) as blocks:
        result = stage(dump, tmp_path / "several", blocks, lambda *_: None)
    assert content(result) == content(whole)


def test_a_process_that_is_killed_is_told(dump: Dump, tmp_path: Path) -> None:
    class Killing(Counting):
        def submit(self, task: BlockTask, pieces: Sequence[bytes]) -> Future[BlockDone]:
            for process in self._blocks._executor._processes.values():  # type: ignore[attr-defined]
                process.kill()
            return super().submit(task, pieces)

    with block_pool(IngestSettings(keep_authors=True), None, 2) as blocks:
        # two at once, so that both processes are there: one that begins while another ends may be missed
        first = [BlockTask(tmp_path / f"{n}.arrow", 0, Position(), 0) for n in range(2)]
        for done in [blocks.submit(task, [b"{}\n"]) for task in first]:
            done.result()
        with pytest.raises(OutputError, match="ended from outside"):
            stage(dump, tmp_path / "killed", Killing(blocks), lambda *_: None)
