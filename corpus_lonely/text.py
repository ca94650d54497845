"""One normaliser for labelled and for scored posts, so that a model reads both alike."""

import hashlib
import html
import html.entities
import re

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_LONGEST_ENTITY = 34
_ROUNDS = 4
"""Hardly a text needs more: Reddit escapes once, and a dump of a dump twice."""
_UNENCODABLE = re.compile(r"[\ud800-\udfff]")
# what `_fold` changes beyond ASCII
_ODD = re.compile("[\x85\xa0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff\ud800-\udfff]")
# NUL, zero-width space and byte-order mark are leftovers of editors; they carry no meaning
_INVISIBLE = ("\x00", "\u200b", "\ufeff")


def normalise(text: str) -> str:
    """Unescapes HTML entities and folds white space; unpaired surrogates become U+FFFD.

    Applied twice it changes nothing more, so text from `ingest` and raw text score alike.
    An entity without its semicolon stays as it is: `?a=1&copy=2` is a link, not a sign.
    """
    text = unescaped(text)
    if "\n" in text:
        text = " ".join([line for full in text.split("\n") if (line := full.strip())])
    # no white space but the space is printable, nor is what the slow way below looks for
    if text.isprintable() and "  " not in text and text[:1] != " " and text[-1:] != " ":
        return text
    return _fold(text)


def unescaped(text: str) -> str:
    """The text without HTML entities, those that others hide (`&amp;lt;`) included."""
    for _ in range(_ROUNDS):
        if "&" not in text or ";" not in text:
            return text
        plainer = _ENTITY.sub(_unescape, text)
        if plainer == text:
            return text
        text = plainer
    return _unescaped_at_once(text)


def _unescaped_at_once(text: str) -> str:
    """The same in one go, for entities nested so deep that a round for each takes the square of the length.

    Entities do not overlap, so the order in which they are read makes no difference.
    """
    done: list[str] = []
    left = list(reversed(text))
    while left:
        done.append(left.pop())
        if done[-1] == ";":
            end = "".join(done[-_LONGEST_ENTITY:])
            entity = end[max(0, end.rfind("&")) :]
            found = _ENTITY.fullmatch(entity)
            if found and (plain := _unescape(found)) != entity:
                del done[-len(entity) :]
                left.extend(reversed(plain))  # it may end another
    return "".join(done)


def eased(text: str) -> str:
    """The text with nothing left to do for `normalise` but to fold white space and NUL of ASCII."""
    text = unescaped(text)
    return text if text.isascii() or not _ODD.search(text) else _fold(text)


def _fold(text: str) -> str:
    """`normalise` for texts without entities: the plain way, which most texts need not go."""
    # three times the speed of one pattern and one translation table, for what hardly ever occurs
    try:
        text.encode()
    except UnicodeEncodeError:
        text = _UNENCODABLE.sub("\ufffd", text)
    for character in _INVISIBLE:
        if character in text:
            text = text.replace(character, " ")
    return " ".join(text.split())


def _unescape(entity: re.Match[str]) -> str:
    name = entity[0][1:]
    return html.unescape(entity[0]) if name[0] == "#" or name in html.entities.html5 else entity[0]


def join_post(title: str | None, body: str | None) -> str:
    """Title, a space, body, as FIG-Loneliness joins them; each may be missing."""
    return normalise(f"{title or ''} {body or ''}")


def text_hash(text: str) -> int:
    """Eight bytes of a normalised text; that two of a million texts share them has a chance of 3e-8."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
