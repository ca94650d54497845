"""One line of a dump to a raw post: the fields we need, in whichever types twenty years gave them."""

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

Number = int | float | str | bool | None
"""Numbers came as text until 2015 and as floats in 2024; `edited` may be a bool."""


class Meta(msgspec.Struct, gc=False):
    """`_meta`, which later dumps (2023-11 on) add to what Reddit gave."""

    removal_type: str | None = None
    was_deleted_later: bool | None = None
    is_edited: bool | None = None
    retrieved_2nd_on: Number = None


class RawPost(msgspec.Struct, gc=False):
    """A submission or comment as the dump has it; a field that it lacks is None."""

    id: str | None = None
    name: str | None = None
    author: str | None = None
    subreddit: str | None = None
    created_utc: Number = None
    title: str | None = None
    selftext: str | None = None
    body: str | None = None
    link_id: str | None = None
    parent_id: str | None = None
    score: Number = None
    score_hidden: bool | None = None
    num_comments: Number = None
    over_18: bool | None = None
    edited: Number = None
    removed_by_category: str | None = None
    crosspost_parent: str | None = None
    retrieved_on: Number = None
    retrieved_utc: Number = None
    permalink: str | None = None
    link_flair_text: str | None = None
    author_flair_text: str | None = None
    meta: Meta | None = msgspec.field(name="_meta", default=None)


class BadLineError(ValueError):
    """A line that is no post; says why, and quotes nothing of it.

    text: what to show for the line, where it was made from something else.
    reason: of DROP_REASONS.
    """

    def __init__(self, why: str, text: str | None = None, reason: str = "bad_json") -> None:
        super().__init__(why)
        self.text, self.reason = text, reason


_BAD_ROW = "corpus-lonely: a row that is no post"


def bad_line(why: str, text: str, reason: str) -> bytes:
    """A line for which `decode` raises a BadLineError that says just this."""
    return json.dumps([_BAD_ROW, why, text, reason]).encode()


_decoder = msgspec.json.Decoder(RawPost)
_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(line: bytes | memoryview) -> RawPost | None:
    """The fields of one line; None when it is blank. Raises BadLineError for what is no JSON object."""
    try:
        return _decoder.decode(line)
    except (ValueError, RecursionError):
        # a lone surrogate, or a type that no month is known for: slower, but nothing is lost
        whole = bytes(line)
        return None if not whole or whole.isspace() else _decode_anything(whole)


def decode_all(lines: bytes | memoryview, count: int) -> list[RawPost] | None:
    """The posts of `count` lines at once; None when they must be decoded one at a time.

    Each line must begin with `{` and end with `}`. Then every newline is the end of an object: in a string it
    is an error, and so is what comes next within an object, for after `}` stands `,`, `}` or `]` there. Each
    line holds an object or more, therefore, and as many objects as lines mean one a line.
    """
    try:
        posts = _decoder.decode_lines(lines)
    except (ValueError, RecursionError):
        return None
    return posts if len(posts) == count else None


def _decode_anything(line: bytes) -> RawPost:
    try:
        content = json.loads(line.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise BadLineError(f"no JSON: {error.msg.lower()} (column {error.colno:,})") from None
    except UnicodeDecodeError as error:
        raise BadLineError(f"no UTF-8 (byte {error.start + 1:,} of the line)") from None
    except (ValueError, RecursionError):
        raise BadLineError("no JSON that can be read: nested too deep, or a huge number") from None
    match content:
        case [str(mark), str(why), str(text), "bad_json" | "not_a_post" as reason] if (
            mark == _BAD_ROW
        ):
            raise BadLineError(why, text, reason)
    if not isinstance(content, dict):
        raise BadLineError(f"no JSON object but {_json_type(content)}")
    post = _filled(RawPost, content)
    meta = content.get("_meta")
    post.meta = _filled(Meta, meta) if isinstance(meta, dict) else None
    return post


_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def _filled(kind: type[_Struct], content: dict[str, Any]) -> _Struct:
    """The fields that can be made to fit; the others stay None."""
    fields = msgspec.structs.fields(kind)
    return kind(
        **{f.name: _FITTED[f.type](content.get(f.name)) for f in fields if f.type in _FITTED}
    )


def _string(value: Any) -> str | None:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


_FITTED: dict[Any, Callable[[Any], Any]] = {
    str | None: _string,
    bool | None: lambda value: value if isinstance(value, bool) else None,
    Number: lambda value: value if isinstance(value, bool | int | float | str) else None,
}


def _json_type(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a bool", type(None): "null"}
    return names.get(type(value), "a number")
