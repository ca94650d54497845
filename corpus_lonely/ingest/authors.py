"""Authors' names to keyed hashes, and the file that holds the key."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from corpus_lonely.errors import InputError
from corpus_lonely.files import open_private, output_error, temporary_name

_KEY_BYTES = 32
_HASH_BYTES = 16
"""Half of a SHA-256: 16 bytes meet by chance once in some 10^19 authors."""

_KINDS = frozenset({"t1", "t3"})
"""What full names of comments and submissions begin with."""
_CACHED_AUTHORS = 1 << 16


@dataclass(frozen=True)
class AuthorKey:
    """The secret behind the hashes: whoever holds it can test whether a name is in the posts."""

    secret: bytes

    @property
    def fingerprint(self) -> str:
        """Tells keys apart without telling the key; stands in the record and in footers."""
        return hashlib.sha256(b"corpus-lonely author key\n" + self.secret).hexdigest()[:16]

    def hash(self, name: str) -> str:
        """HMAC-SHA256 of the name in lower case, cut to 16 bytes, as 32 hexadecimal digits."""
        plain = name.lower().encode("utf-8", "surrogatepass")
        return hmac.digest(self.secret, plain, "sha256")[:_HASH_BYTES].hex()

    def hash_id(self, full_name: str) -> str:
        """HMAC-SHA256 of a post's full name, cut to 16 bytes, behind the prefix that tells its kind.

        The same post has the same hash in every column and file, and no author's hash meets it.
        """
        # case matters to tables, whose ids may differ in nothing else; Reddit's are in lower case
        kind, _, rest = full_name.partition("_")
        plain = b"post\n" + full_name.encode("utf-8", "surrogatepass")
        hidden = hmac.digest(self.secret, plain, "sha256")[:_HASH_BYTES].hex()
        return f"{kind}_{hidden}" if rest and kind in _KINDS else hidden


def id_writer(key: AuthorKey | None, *, hashed: bool) -> Callable[[str], str] | None:
    """What stands for a post's full name; None where that is itself."""
    return key.hash_id if hashed and key else None


def author_writer(key: AuthorKey | None) -> Callable[[str], str]:
    """What the column `author` gets for a name: its hash, or the name where there is no key."""
    # people post more than once: a cache spares most of the hashes
    return lru_cache(_CACHED_AUTHORS)(key.hash) if key else str


def read_key(path: Path) -> AuthorKey:
    """The key in a file of hexadecimal digits; InputError, without the content, when it is none."""
    try:
        secret = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError):
        secret = b""
    if len(secret) < _KEY_BYTES:
        raise InputError(
            f"is no author key: it must hold at least {2 * _KEY_BYTES} hexadecimal digits",
            where=path,
            hint="Name a file that is not there to have a new key made",
        )
    return AuthorKey(secret)


def make_key(path: Path) -> AuthorKey:
    """A new key in a file that only its owner can read; never over a file that is there."""
    secret = secrets.token_bytes(_KEY_BYTES)
    temporary = path.with_name(temporary_name(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_private(temporary, "w") as file:
            file.write(secret.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except OSError as error:
        raise output_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)
    return AuthorKey(secret)
