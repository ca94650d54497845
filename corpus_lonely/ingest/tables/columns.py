"""Which column of a table is which of ours, and a row of it as a dump would have it."""

import hashlib
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus_lonely.errors import InputError, SettingsError
from corpus_lonely.ingest.tables.times import TimeReader

FIELDS = {
    "post_id": "id",
    "kind": "",
    "subreddit": "subreddit",
    "author": "author",
    "created_at": "created_utc",
    "text": "",
    "title": "title",
    "score": "score",
    "num_comments": "num_comments",
    "over_18": "over_18",
    "link_id": "link_id",
    "parent_id": "parent_id",
    "edited_at": "edited",
    "edited": "edited",
    "removed": "removed_by_category",
    "crosspost": "crosspost_parent",
    "retrieved_at": "retrieved_on",
    "flair": "link_flair_text",
    "author_flair": "author_flair_text",
    "permalink": "permalink",
}
"""Columns of posts, and what a dump calls them; empty where that depends on the kind."""
_TEXTS = frozenset(
    [
        "subreddit",
        "author",
        "title",
        "link_id",
        "parent_id",
        "permalink",
        "removed_by_category",
        "link_flair_text",
        "author_flair_text",
        "crosspost_parent",
    ]
)
_OPEN = ("kind", "subreddit", "created_at", "score", "num_comments", "over_18", "retrieved_at")
"""What --fill gives all rows and names neither a post nor who wrote it."""
_TIMES = ("created_at", "edited_at", "retrieved_at")
_KINDS = {"submission": "t3", "post": "t3", "t3": "t3", "comment": "t1", "t1": "t1"}
_PREFIXES = ("t1_", "t3_")
_YES, _NO = frozenset({"true", "t", "yes", "1"}), frozenset({"false", "f", "no", "0"})
_ID_DIGITS = 20
_PLAIN_NAME = re.compile(r"[^\W\d][\w.\-]{0,30}")


class UnknownKindError(ValueError):
    """A row that says to be neither a submission nor a comment."""


@dataclass(frozen=True)
class Columns:
    """The choices of one table."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Ours to the table's, with dots for what lies deeper in JSON; others of the same name as ours are taken, too."""
    fill: Mapping[str, str] = field(default_factory=dict)
    """Ours to a value for all rows."""

    def __post_init__(self) -> None:
        for option, given in (("--map", self.names), ("--fill", self.fill)):
            if unknown := [name for name in given if name not in FIELDS]:
                raise SettingsError(
                    f"{option} must name columns of posts ({', '.join(FIELDS)}), got {unknown[0]!r}"
                )
        if both := self.names.keys() & self.fill.keys():
            raise SettingsError(f"give {min(both)!r} with --map or with --fill, not with both")

    @property
    def recorded(self) -> dict[str, Any]:
        """As JSON for the folder's record, which tells of nobody who posted."""
        told = {
            name: value if name in _OPEN else "(not recorded)" for name, value in self.fill.items()
        }
        return {"map": dict(sorted(self.names.items())), "fill": dict(sorted(told.items()))}

    @property
    def unnamed(self) -> list[str]:
        """Ours that are taken from a column of the same name, where a row has one."""
        return [name for name in FIELDS if name not in self.names and name not in self.fill]

    def found_in(self, there: Collection[str], where: Path) -> dict[str, str]:
        """Ours to the table's, of those that it has; InputError when one is not there that must be.

        there: its columns; of a deeper one only the first name is looked for.
        """
        told = _named(there)
        for ours, theirs in self.names.items():
            if theirs not in there and theirs.split(".", 1)[0] not in there:
                raise InputError(
                    f"has no column {theirs!r} for {ours}; its columns are {told}", where=where
                )
        found = {name: name for name in self.unnamed if name in there} | dict(self.names)
        known = found.keys() | self.fill.keys()
        for needed in ({"created_at"}, {"subreddit"}, {"text", "title"}):
            if not needed & known:
                name = " or ".join(sorted(needed))
                raise InputError(
                    f"has no column {name!r}; its columns are {told}",
                    where=where,
                    hint=f"Say which it is with --map {name.split()[0]}=COLUMN"
                    + (", or --fill subreddit=NAME" if name == "subreddit" else ""),
                )
        return found


def _named(there: Collection[str]) -> str:
    """Names of columns for an error; what does not look like one may be a post, in a file without a head."""
    if all(map(_PLAIN_NAME.fullmatch, there)):
        return ", ".join(sorted(there)[:20])
    return "not told, for they do not look like names: its first line must be a head"


def as_dumped(values: Mapping[str, Any], read_time: TimeReader) -> dict[str, Any]:
    """A row, by our names, as a line of a dump; raises NoZoneError and UnknownKindError."""
    told = {name: value for name, value in values.items() if not _is_missing(value)}
    if (edited := told.pop("edited", None)) is not None:
        told |= _edited(edited, told)
    for name in _TIMES:
        if name in told:
            told[name] = read_time(told[name])
    if "over_18" in told:
        told["over_18"] = _truth(told["over_18"])
    for name, what in (("removed", "removed"), ("crosspost", None)):
        if (flag := _truth(told.get(name))) is not None:  # whether, not by whom or of which
            told[name] = what if flag else None
    name = str(told.pop("post_id", "")) or _content_id(told)
    prefix, bare = _kind(told, name), name.removeprefix("t1_").removeprefix("t3_")
    told.pop("kind", None)
    text = _text(told.pop("text", None))
    post: dict[str, Any] = {FIELDS[ours]: value for ours, value in told.items()}
    post |= {"id": bare, "name": f"{prefix}_{bare}"}
    for theirs in _TEXTS & post.keys():
        post[theirs] = _text(post[theirs])
    _name_in_full(post)
    if prefix == "t1":
        post.pop("title", None)
        return post | {"body": text or ""}
    title = post.get("title") or ""
    return post | {"title": title, "selftext": _body(title, text or "")}


def _body(title: str, text: str) -> str:
    """The text after the title, where that begins it, as in a posts folder of ours."""
    rest = text.strip().removeprefix(title.strip()) if title else text
    return text if rest and not rest[0].isspace() else rest


def _edited(value: Any, told: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the post was edited, or when, as Reddit has either there; a time of its own says more."""
    if "edited_at" in told:
        return {}
    flag = _truth(value)
    return {"edited_at": value} if flag is None else {"edited": flag}


def _name_in_full(post: dict[str, Any]) -> None:
    """What a comment answers, as the id of that post stands: with the prefix of its kind."""
    for name in ("link_id", "crosspost_parent"):
        if (link := post.get(name)) and not link.startswith(_PREFIXES):
            post[name] = f"t3_{link}"
    parent = post.get("parent_id")
    if parent and not parent.startswith(_PREFIXES):
        post["parent_id"] = (
            f"t3_{parent}" if f"t3_{parent}" == post.get("link_id") else f"t1_{parent}"
        )


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) or value is None else str(value)


def _kind(told: Mapping[str, Any], name: str) -> str:
    """What the table says, else the id, else whether the post answers another."""
    if said := str(told.get("kind", "")).strip().lower():
        if said not in _KINDS:
            raise UnknownKindError
        return _KINDS[said]
    if name.startswith(_PREFIXES):
        return name[:2]
    return "t1" if told.get("parent_id") or told.get("link_id") else "t3"


def _content_id(told: Mapping[str, Any]) -> str:
    """For a post without id: the same content at the same time has the same.

    The author has no part in it: whoever guesses a name could test it against such an id.
    """
    parts = [str(told.get(name)) for name in ("created_at", "subreddit", "title", "text")]
    return (
        "x" + hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:_ID_DIGITS]
    )


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    plain = str(value).strip().lower().removesuffix(".0")
    return True if plain in _YES else False if plain in _NO else None


def assignments(given: Iterable[str], option: str) -> dict[str, str]:
    """`text=body,created_at=ts` and the like as pairs; SettingsError for what is none."""
    pairs: dict[str, str] = {}
    for entry in (part.strip() for told in given for part in told.split(",")):
        ours, equals, theirs = entry.partition("=")
        if not (ours and equals and theirs) or ours in pairs:
            raise SettingsError(f"{option} must be like text=body, each name once, got {entry!r}")
        pairs[ours.strip()] = theirs.strip()
    return pairs
