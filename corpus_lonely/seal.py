"""A file's SHA-256 inside the file itself, so that damage anywhere in it is seen."""

import hashlib

_MARK = b"corpus-lonely sha256:"
_BLANK = b"0" * 64
BLANK_SEAL = (_MARK + _BLANK).decode()
"""What a writer puts somewhere into a file, once, for `seal` to fill in."""


def seal(content: bytes) -> bytes:
    """The file with its blank seal filled in: the sum over all bytes, the seal's own taken as zeros.

    Raises ValueError when there is no blank seal.
    """
    start = _start(content)
    if start is None or content[start : start + 64] != _BLANK:
        raise ValueError("no blank seal")
    digest = _digest(content, start)
    return b"".join([content[:start], digest, content[start + 64 :]])


def is_whole(content: bytes) -> bool:
    """Whether a file has a seal and is, byte for byte, what was sealed."""
    start = _start(content)
    return start is not None and content[start : start + 64] == _digest(content, start)


def has_seal(content: bytes) -> bool:
    """Whether a file was sealed, be it whole or not."""
    return _start(content) is not None


def _start(content: bytes) -> int | None:
    """Where the seal's digits begin; of several the last counts, for footers stand at the end."""
    mark = content.rfind(_MARK)
    return None if mark < 0 else mark + len(_MARK)


def _digest(content: bytes, start: int) -> bytes:
    view = memoryview(content)
    digest = hashlib.sha256(view[:start])
    digest.update(_BLANK)
    digest.update(view[start + 64 :])
    return digest.hexdigest().encode()
