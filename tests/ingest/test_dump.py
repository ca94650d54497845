import gzip
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_lonely.errors import InputError, TruncatedFileError
from corpus_lonely.ingest import dump
from corpus_lonely.ingest.codecs import Piece
from corpus_lonely.ingest.dump import BLOCK_BYTES, open_dump, read_blocks
from tests.ingest.lines import PACKERS, comment, ndjson, submission, write_dump


def lines_of(path: Path, block_bytes: int = BLOCK_BYTES) -> list[bytes]:
    return [line for block in read_blocks(path, None, block_bytes) for line in block.lines()]


def split_by_hand(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


@given(
    texts=st.lists(st.text(max_size=20), max_size=30),
    cuts=st.lists(st.integers(0, 600), max_size=20),
    block=st.integers(1, 50),
    newline=st.booleans(),
)
def test_every_split_of_the_stream_gives_the_same_lines(
    texts: list[str], cuts: list[int], block: int, newline: bool
) -> None:
    data = "\n".join(text.replace("\n", " ") for text in texts).encode() + b"\n" * newline
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in pairwise(places)]

    def decompressed(_: Path, begin: int) -> Iterator[Piece]:
        yield from (Piece(piece, 0, 0) for piece in pieces)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dump, "decompress", decompressed)
        blocks = list(read_blocks(Path("any"), None, block))
        whole = list(_blocks_of_whole(patch, data, block))
    got = [line for one in blocks for line in one.lines()]
    # nor do blocks depend on it, and each begins where the one before ended
    assert [(one.data, one.begin, one.end.plain) for one in blocks] == whole
    assert [one.begin for one in blocks[1:]] == [one.end.plain for one in blocks[:-1]]
    expected = split_by_hand(data)
    if expected and expected[0].startswith(b"\xef\xbb\xbf"):
        expected[0] = expected[0].removeprefix(b"\xef\xbb\xbf")
    assert got == ([] if data == b"\xef\xbb\xbf" else expected)


def _blocks_of_whole(
    patch: pytest.MonkeyPatch, data: bytes, block: int
) -> Iterator[tuple[bytes, int, int]]:
    patch.setattr(dump, "decompress", lambda _, begin: [Piece(data, 0, 0)] if data else [])
    for one in read_blocks(Path("any"), None, block):
        yield one.data, one.begin, one.end.plain


@pytest.mark.parametrize("suffix", [*PACKERS, "txt"])
def test_reading_goes_on_after_any_block(tmp_path: Path, suffix: str) -> None:
    """Frames end within lines and within blocks; what comes after a block is the same either way."""
    data = b"".join(b"%d %s\n" % (n, b"x" * (n * 7 % 61)) for n in range(300))
    pack = PACKERS.get(suffix, bytes)
    path = tmp_path / "dump"
    path.write_bytes(pack(data[:777]) + pack(data[777:2000]) + pack(data[2000:]))
    blocks = list(read_blocks(path, None, 500))
    assert len({block.end.frame for block in blocks}) == (1 if suffix == "txt" else 3)
    for number, block in enumerate(blocks, start=1):
        rest = list(read_blocks(path, block.end, 500))
        assert [(b.data, b.begin, b.end) for b in rest] == [
            (b.data, b.begin, b.end) for b in blocks[number:]
        ]


def test_a_last_line_without_newline_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(b'{"a":1}\r\n\n{"b":2}')
    assert lines_of(path) == [b'{"a":1}\r', b"", b'{"b":2}']


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"a":1}\n{"b":2}\n')
    assert lines_of(path) == [b'{"a":1}', b'{"b":2}']


def test_lines_of_10_mb_pass(tmp_path: Path) -> None:
    long = [b"%d" % n + bytes([97 + n]) * 10_000_000 for n in range(2)]
    path = tmp_path / "dump.gz"
    path.write_bytes(gzip.compress(b"first\n" + b"\n".join(long) + b"\nlast", compresslevel=1))
    assert lines_of(path) == [b"first", *long, b"last"]


@pytest.mark.parametrize("ended", [True, False])
def test_a_line_without_end_is_cut_and_the_next_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    monkeypatch.setattr(dump, "MAX_LINE_BYTES", 3 << 20)
    path = tmp_path / "dump"
    path.write_bytes(b"x" * (9 << 20) + (b"\nnext\n" if ended else b""))
    lines = lines_of(path)
    assert lines[0] == b"x" * (3 << 20)
    assert lines[1:] == ([b"next"] if ended else [])


def test_lines_before_a_break_are_given_before_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "dump.zst"
    path.write_bytes(PACKERS["zst"](b"one\ntwo\n") + PACKERS["zst"](b"three\n" * 1000)[:-2])
    blocks = read_blocks(path)
    assert next(blocks).lines()[:3] == [b"one", b"two", b"three"]
    with pytest.raises(TruncatedFileError):
        next(blocks)


@pytest.mark.parametrize("name", ["d.json", "d.zst", "d.xz", "d.bz2", "d.gz"])
def test_a_dump_is_found_to_be_one(tmp_path: Path, name: str) -> None:
    path = write_dump(tmp_path / name, [b"", b"rubbish", comment(), submission()])
    found = open_dump(path)
    assert (found.path, found.size, found.unreadable) == (path, path.stat().st_size, None)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50, "is not a Reddit dump"),
        (b"id,text\n1,hello\n2,there\n", "is not a Reddit dump"),
        (b"PAR1" + bytes(1000), "is not a Reddit dump"),
        (b'[{"id":"a"}]\n', "is not a Reddit dump"),
        (b"\n\n\n", "is not a Reddit dump"),
        (PACKERS["zst"](b"\n"), "is not a Reddit dump"),
        (PACKERS["gz"](b"id,text\n1,hello\n"), "is not a Reddit dump"),
        (b"\x28\xb5\x2f", "is not a Reddit dump"),
    ],
)
def test_what_is_no_dump_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "file.zst"
    path.write_bytes(content)
    with pytest.raises(InputError, match=told) as caught:
        open_dump(path)
    assert caught.value.where == path


def test_an_empty_file_breaks_off_and_one_of_no_lines_is_whole(tmp_path: Path) -> None:
    for name in ("a.zst", "b.json"):
        (tmp_path / name).touch()
        assert "is empty (0 bytes)" in str(open_dump(tmp_path / name).unreadable)
    assert open_dump(tmp_path / "a.zst").fingerprint != open_dump(tmp_path / "b.json").fingerprint
    (tmp_path / "c.zst").write_bytes(PACKERS["zst"](b""))
    assert open_dump(tmp_path / "c.zst").unreadable is None


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_dump(tmp_path / "none")
    with pytest.raises(InputError, match="is no file"):
        open_dump(tmp_path)


def test_a_dump_cut_before_its_first_line_is_kept_in_mind(tmp_path: Path) -> None:
    path = tmp_path / "d.zst"
    path.write_bytes(PACKERS["zst"](ndjson([submission()]))[:20])
    assert isinstance(open_dump(path).unreadable, TruncatedFileError)


def test_fingerprints_tell_content_not_names(tmp_path: Path) -> None:
    one, same = (write_dump(tmp_path / name, [comment()]) for name in ("a", "b"))
    other = write_dump(tmp_path / "c", [comment(score=2)])
    assert open_dump(one).fingerprint == open_dump(same).fingerprint
    assert open_dump(one).fingerprint != open_dump(other).fingerprint
