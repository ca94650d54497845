"""Lists of what is to be deleted: ids of posts and names of authors, one a line; and who is nobody any more."""

import re
from collections.abc import Iterator
from pathlib import Path

from corpus_lonely.errors import InputError

PREFIXES = ("t3", "t1")
"""Of submissions and of comments."""
NOBODY = frozenset({"[deleted]", "[removed]"})
"""Authors' names that are none."""
HASHED_ID = r"^(t[13]_)?[0-9a-f]{32}$"
"""What an id looks like that `--hash-ids` has hashed."""
_ID = re.compile(r"t[13]_\S{1,200}")
_BARE = re.compile(r"(?!t\d_)\S{1,200}")
_USER = re.compile(r"^/?u/(?=.)")
_COMMENT = re.compile(r"(^|\s)#.*")
"""Names and ids of tables may hold a #, so one within a word begins none."""


def read_ids(path: Path, prefix: str | None = None) -> list[str]:
    """The ids in a file, each once: `t3_abc` of a submission, `t1_abc` of a comment.

    prefix: `t3` or `t1`, put before an id that has none; without it such an id is refused, for a
        submission and a comment may have the same.
    Blank lines count for nothing, nor does a comment: `#` at the beginning or behind white space. Raises InputError that names the line.
    """
    ids: dict[str, None] = {}
    for number, entry in _entries(path):
        if prefix and _BARE.fullmatch(entry):
            entry = f"{prefix}_{entry}"  # noqa: PLW2901  (the same id, told in full)
        if not _ID.fullmatch(entry):
            bare = bool(_BARE.fullmatch(entry))
            raise InputError(
                f"line {number:,} is no id of a post: it must begin with t3_ (a submission) or t1_ "
                "(a comment) and hold no white space",
                where=path,
                hint="Say which they are with --prefix t3 or --prefix t1" if bare else None,
            )
        ids[entry] = None
    return list(ids)


def read_authors(path: Path) -> list[str]:
    """The names in a file, each once, without u/: a line each, for those of tables may hold anything."""
    return list(dict.fromkeys(_USER.sub("", entry, count=1) for _, entry in _entries(path)))


def _entries(path: Path) -> Iterator[tuple[int, str]]:
    """Number, from 1, and content of each line that holds something."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if entry := _COMMENT.sub("", line).strip():
                    yield number, entry
    except FileNotFoundError:
        raise InputError("does not exist", where=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"is not readable as text ({error})", where=path) from error
