"""How people and posts are hidden in a table: what authors were hashed with, and whether ids were too."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from corpus_lonely.errors import InputError

PLAIN_NAMES = "none, names in plain text"


@dataclass(frozen=True)
class Identities:
    """Of several tables that are read as one."""

    author_key: str | None = None
    """What the authors were hashed with (see `author_key_of`)."""
    hash_ids: bool | None = None
    """Whether the ids are hashed with it, too; None if nobody tells."""

    @classmethod
    def of(cls, files: Sequence[tuple[str, Mapping[str, Any]]], columns: Collection[str]) -> Self:
        """From each file's address and the facts in its footer; InputError when they tell several keys.

        columns: those that are read: a key is of no matter where nothing hashed with it is.
        """
        hash_ids = any_hashed_ids(told for _, told in files) if "post_id" in columns else None
        return cls(one_author_key(files) if hash_ids or "author" in columns else None, hash_ids)

    def facts(self) -> dict[str, Any]:
        """For the footer of what is made of them: what is known."""
        return {name: value for name, value in vars(self).items() if value is not None}


def author_key_of(facts: Mapping[str, Any]) -> str | None:
    """What the authors of a file were hashed with: the key's fingerprint, or PLAIN_NAMES; None if nobody tells.

    facts: of its footer, be it of posts or of scores.
    """
    key: str | None = facts.get("author_key")
    return PLAIN_NAMES if key is None and facts.get("table") == "posts" else key


def one_author_key(files: Iterable[tuple[str, Mapping[str, Any]]]) -> str | None:
    """What `author_key_of` tells of all files that tell it; InputError when they tell several keys.

    files: each one's address, and the facts in its footer.
    """
    known: str | None = None
    for where, facts in files:
        key = author_key_of(facts)
        if known and key and key != known:
            raise InputError(
                f"has authors hashed with another key ({key}) than the files before it ({known}), so "
                "that one person would count as two",
                where=where,
                hint="Ingest all with one --author-key, or take them one at a time",
            )
        known = known or key
    return known


def hashed_ids_of(facts: Mapping[str, Any]) -> bool | None:
    """Whether a file's ids of posts are hashed (`--hash-ids`); None if nobody tells.

    facts: of its footer, be it of posts, of marks or of scores.
    """
    told: bool | None = facts.get("hash_ids")
    if told is None and facts.get("table") == "posts":
        told = bool((facts.get("settings") or {}).get("hash_ids"))
    return told


def any_hashed_ids(files: Iterable[Mapping[str, Any]]) -> bool | None:
    """Whether one of several files has hashed ids; None where none has, and some do not tell."""
    told = {hashed_ids_of(facts) for facts in files}
    return True if True in told else None if None in told else False
