import io
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from corpus_lonely.errors import CorruptFileError, InputError, TruncatedFileError
from corpus_lonely.ingest.codecs import codec_of, decompress
from tests.ingest.lines import PACKERS

DATA = b"".join(b'{"id":"%d","body":"caf\xc3\xa9 %d"}\n' % (n, n * n % 997) for n in range(3000))


def plain(path: Path) -> bytes:
    return b"".join(piece.data for piece in decompress(path))


def up_to_the_break(path: Path) -> tuple[bytes, InputError | None]:
    """What can be read, and what ends it."""
    got = b""
    try:
        for piece in decompress(path):
            got += piece.data
            assert piece.consumed <= path.stat().st_size
    except InputError as error:
        return got, error
    return got, None


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", PACKERS)
def test_content_comes_back_whatever_the_name(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / "dump.txt", PACKERS[suffix](DATA))
    assert plain(path) == DATA


@pytest.mark.parametrize("suffix", PACKERS)
def test_several_frames_lose_nothing(tmp_path: Path, suffix: str) -> None:
    pack = PACKERS[suffix]
    path = written(
        tmp_path / "dump", pack(DATA[:1000]) + pack(DATA[1000:70000]) + pack(DATA[70000:])
    )
    pieces = list(decompress(path))
    assert b"".join(piece.data for piece in pieces) == DATA
    assert pieces[-1].consumed == path.stat().st_size


@pytest.mark.parametrize("suffix", [*PACKERS, "txt"])
def test_reading_goes_on_from_any_frame(tmp_path: Path, suffix: str) -> None:
    pack = PACKERS.get(suffix, bytes)
    parts = (DATA[:1000], DATA[1000:70000], DATA[70000:])
    path = written(tmp_path / "dump", b"".join(map(pack, parts)))
    pieces = list(decompress(path))
    starts = sorted({piece.frame for piece in pieces})
    assert len(starts) == (1 if suffix == "txt" else 3)
    for start in starts:
        before = sum(len(piece.data) for piece in pieces if piece.frame < start)
        assert b"".join(piece.data for piece in decompress(path, start)) == DATA[before:]


def test_skippable_zstd_frames(tmp_path: Path) -> None:
    skippable = struct.pack("<II", 0x184D2A5A, 5) + b"hello"
    pack = PACKERS["zst"]
    path = written(
        tmp_path / "dump", skippable + pack(DATA[:5000]) + skippable + pack(DATA[5000:]) + skippable
    )
    assert plain(path) == DATA


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("frames", [1, 2])
def test_a_cut_file_is_named_with_the_byte_and_read_up_to_it(
    tmp_path: Path, suffix: str, frames: int
) -> None:
    half = len(DATA) // 2
    parts = [DATA] if frames == 1 else [DATA[:half], DATA[half:]]
    packed = [PACKERS[suffix](part) for part in parts]
    whole = b"".join(packed)
    boundaries = {len(packed[0])}
    cuts = [*range(8, len(whole), max(1, len(whole) // 40)), len(whole) - 1]
    for cut in cuts:
        if cut in boundaries:
            continue
        path = written(tmp_path / "cut", whole[:cut])
        got, error = up_to_the_break(path)
        assert isinstance(error, TruncatedFileError)
        assert DATA.startswith(got)
        if cut > len(packed[0]):
            assert len(got) >= len(parts[0])
        assert f"byte {cut:,}" in str(error)
        assert str(path) in str(error)


def test_a_file_cut_between_frames_cannot_be_told_from_a_whole_one(tmp_path: Path) -> None:
    pack = PACKERS["zst"]
    assert plain(written(tmp_path / "dump", pack(DATA[:500]))) == DATA[:500]


@pytest.mark.parametrize("suffix", PACKERS)
def test_corrupt_bytes_are_named(tmp_path: Path, suffix: str) -> None:
    packed = bytearray(PACKERS[suffix](DATA))
    place = len(packed) // 2
    packed[place : place + 8] = bytes(255 - byte for byte in packed[place : place + 8])
    path = written(tmp_path / "dump", bytes(packed))
    with pytest.raises((CorruptFileError, TruncatedFileError), match="byte") as caught:
        plain(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", PACKERS)
def test_rubbish_after_the_last_frame_is_corrupt(tmp_path: Path, suffix: str) -> None:
    packed = PACKERS[suffix](DATA)
    path = written(tmp_path / "dump", packed + b"rubbish that is no frame at all")
    got, error = up_to_the_break(path)
    assert got == DATA
    assert isinstance(error, CorruptFileError)
    assert f"begins at byte {len(packed):,}" in str(error)


def test_zero_bytes_pad_gzip_but_mark_a_broken_zstd_download(tmp_path: Path) -> None:
    assert plain(written(tmp_path / "a", PACKERS["gz"](DATA) + bytes(512))) == DATA
    with pytest.raises(CorruptFileError):
        plain(written(tmp_path / "b", PACKERS["zst"](DATA) + bytes(512)))


def test_a_window_of_2_gib_is_accepted(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=31)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = compressor.compress(DATA) + compressor.flush()
    assert zstandard.get_frame_parameters(packed).window_size == 1 << 31
    assert plain(written(tmp_path / "dump", packed)) == DATA


@pytest.mark.skipif(not shutil.which("zstd"), reason="the program zstd is not installed")
def test_two_frames_by_the_zstd_program_with_long_31(tmp_path: Path) -> None:
    frames = [
        subprocess.run(
            ["zstd", "--long=31", "--ultra", "-20", "-c"],
            input=part,
            capture_output=True,
            check=True,
        ).stdout
        for part in (DATA[:40000], DATA[40000:])
    ]
    whole = b"".join(frames)
    assert zstandard.get_frame_parameters(whole).window_size == 1 << 31
    assert plain(written(tmp_path / "dump", whole)) == DATA
    with pytest.raises(TruncatedFileError):
        plain(written(tmp_path / "cut", whole[:-3]))


def test_a_hostile_file_grows_piece_by_piece(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(buffer, closefd=False) as writer:
        for _ in range(1024):
            writer.write(bytes(1 << 20))
    path = written(tmp_path / "bomb", buffer.getvalue())
    code = (
        "import sys, resource; from pathlib import Path\n"
        "from corpus_lonely.ingest.codecs import decompress\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "size = sum(len(piece.data) for piece in decompress(Path(sys.argv[1])))\n"
        "print(size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    size, grown_kb = map(int, done.stdout.split())
    assert size == 1 << 30
    assert grown_kb < 400_000


def test_kinds_are_told_by_the_first_bytes() -> None:
    names = {suffix: codec_of(pack(b"x")) for suffix, pack in PACKERS.items()}
    told = {suffix: codec.name if codec else None for suffix, codec in names.items()}
    assert told == {"zst": "zstd", "xz": "xz", "bz2": "bz2", "gz": "gzip"}
    assert codec_of(b'{"id": 1}') is None
    assert codec_of(b"") is None
