import hashlib
import hmac
import stat
from pathlib import Path

import pytest

from corpus_lonely.errors import InputError, OutputError
from corpus_lonely.ingest.authors import AuthorKey, author_writer, id_writer, make_key, read_key


def test_the_hash_is_hmac_sha256_of_the_lower_case_name() -> None:
    key = AuthorKey(bytes(range(32)))
    expected = hmac.new(bytes(range(32)), b"some_body", hashlib.sha256).hexdigest()[:32]
    assert key.hash("Some_Body") == key.hash("some_body") == expected
    assert AuthorKey(bytes(32)).hash("some_body") != expected


def test_the_hash_of_a_post_keeps_its_kind_and_meets_no_author() -> None:
    key = AuthorKey(bytes(range(32)))
    expected = hmac.new(bytes(range(32)), b"post\nt3_abc", hashlib.sha256).hexdigest()[:32]
    assert key.hash_id("t3_abc") == f"t3_{expected}"
    assert key.hash_id("t3_ABC") != key.hash_id("t3_abc")
    assert key.hash_id("t1_a_b").startswith("t1_")
    assert key.hash_id("t1_abc")[3:] != expected
    assert key.hash("t3_abc") != expected
    assert "strange" not in key.hash_id("strange_name")
    assert id_writer(key, hashed=False) is None


def test_without_a_key_names_stay() -> None:
    assert author_writer(None)("Some_Body") == "Some_Body"


def test_a_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "author.key"
    made = make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path) == made
    assert len(made.secret) == 32
    assert [p.name for p in path.parent.iterdir()] == ["author.key"]


def test_a_key_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "author.key"
    made = make_key(path)
    with pytest.raises(OutputError):
        make_key(path)
    assert read_key(path) == made


@pytest.mark.parametrize("content", [b"", b"hunter2 and so on", b"ab" * 31, b"\xff" * 64])
def test_what_is_no_key_is_refused_without_its_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "author.key"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no author key") as caught:
        read_key(path)
    assert "hunter2" not in str(caught.value)


def test_the_fingerprint_tells_keys_apart_and_not_the_key() -> None:
    one, other = AuthorKey(b"a" * 32), AuthorKey(b"b" * 32)
    assert one.fingerprint != other.fingerprint
    assert one.secret.hex() not in one.fingerprint
