"""ConvoKit's subreddit corpora: utterances and the conversations they belong to, as lines of a dump."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.ingest.raw import Number
from corpus_lonely.ingest.tables.lines import Lines
from corpus_lonely.ingest.tables.places import BadRow, Place
from corpus_lonely.ingest.tables.remarks import Remarks

# Keys changed names over ConvoKit's versions, and the subreddit corpora misname one: convokit 5.0.0,
# model/corpus_helpers.py, reads `user` for `speaker`, `root` for `conversation_id`, `reply-to` and `reply_to`.


class _Meta(msgspec.Struct, gc=False):
    score: Number = None
    subreddit: str | None = None
    retrieved_on: Number = None
    permalink: str | None = None
    author_flair_text: Any = None
    edited: Number = None


class _Utterance(msgspec.Struct, gc=False):
    id: str
    speaker: str | None = None
    user: str | None = None
    conversation_id: str | None = None
    root: str | None = None
    reply_to: str | None = None
    reply_to_once: str | None = msgspec.field(name="reply-to", default=None)
    timestamp: Number = None
    text: str | None = None
    meta: _Meta = msgspec.field(default_factory=_Meta)


class _About(msgspec.Struct, gc=False):
    title: str | None = None
    num_comments: Number = None
    subreddit: str | None = None


class _Conversation(_About, gc=False):
    meta: _About | None = None
    """Older corpora have its content where it stands itself."""


_decode = msgspec.json.Decoder(_Utterance, strict=False).decode


def read_corpus(path: Path, remarks: Remarks) -> Iterator[Place]:
    """Lines of `utterances.jsonl` as a dump has them.

    path: the corpus's folder. Raises InputError when it holds none.
    """
    utterances = path / "utterances.jsonl" if path.is_dir() else path
    if not utterances.is_file():
        raise InputError(
            "holds no utterances.jsonl: it is no ConvoKit corpus, or one that is still zipped",
            where=path,
        )
    about = utterances.with_name("conversations.json")
    conversations = _conversations(about)
    if not about.exists():
        remarks.notes.append(
            f"has no {about.name} beside it: its submissions are without their titles"
        )
    lines = Lines(utterances)
    for number, line in enumerate(lines, start=1):
        if line and not line.isspace():
            post = _post(line, conversations)
            if isinstance(post, BadRow) and lines.cut:
                remarks.note_cut(number)
            yield number, post


def _conversations(path: Path) -> dict[str, _About]:
    """What is known of each conversation; nothing where the file is missing."""
    if not path.exists():
        return {}
    try:
        found = msgspec.json.decode(
            path.read_bytes(), type=dict[str, _Conversation | None], strict=False
        )
    except (ValueError, OSError) as error:
        raise InputError(
            f"is not readable as ConvoKit's conversations ({first_line(error)})", where=path
        ) from error
    return {name: told.meta or told for name, told in found.items() if told}


def _post(line: bytes, conversations: dict[str, _About]) -> dict[str, Any] | BadRow:
    try:
        told = _decode(line)
    except (ValueError, RecursionError) as error:
        why = f"no utterance of ConvoKit ({first_line(error)})"
        return BadRow(why, line.decode("utf-8", "replace"))
    whole = told.conversation_id or told.root or told.id
    about = conversations.get(whole, _About())
    post: dict[str, Any] = {
        "id": told.id,
        "author": told.speaker if told.speaker is not None else told.user,
        "subreddit": told.meta.subreddit or about.subreddit,
        "created_utc": told.timestamp,
        "score": told.meta.score,
        "retrieved_on": told.meta.retrieved_on,
        "permalink": told.meta.permalink,
        "edited": told.meta.edited,
        "author_flair_text": flair
        if isinstance(flair := told.meta.author_flair_text, str)
        else None,
    }
    if told.id == whole:
        title = about.title or ""
        return post | {"title": title, "selftext": told.text, "num_comments": about.num_comments}
    parent = told.reply_to or told.reply_to_once or whole
    prefix = "t3" if parent == whole else "t1"
    return post | {
        "body": told.text or "",
        "link_id": f"t3_{whole}",
        "parent_id": f"{prefix}_{parent}",
    }
