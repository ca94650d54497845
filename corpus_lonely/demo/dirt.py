"""What is wrong with real dumps, done on purpose: lost authors and texts, bots, second copies, broken lines."""

import numpy as np

from corpus_lonely.demo.corpus import Post
from corpus_lonely.demo.reddit import Raw

BROKEN_LINES = (
    b'{"id":"zz01","author":"demo_user_0001","selftext":"cut off in the mid',
    b"not json at all",
    b'["an", "array", "is", "no", "post"]',
    b'{"id":"zz02","body":"\xff\xfe no UTF-8"}',
    b"\x00\x00\x00\x00",
    b'{"id":"zz03","created_utc":1583900000}',
)
"""Lines that are no posts: cut, no JSON, no object, no UTF-8, only NULs, an object without text."""

_BOT_TEXT = (
    "Welcome! Please read the rules in the side bar. *I am a bot, and this action was performed "
    "automatically.*"
)
_ZERO_WIDTH = "\u200b"


def damage(rng: np.random.Generator, raw: Raw, post: Post) -> None:
    """Takes away the author, the text or both, or soils the text; leaves most posts as they are."""
    place = int(np.searchsorted((0.03, 0.05, 0.07, 0.08, 0.10, 0.13, 0.15), rng.random()))
    field = "selftext" if post.kind == "submission" else "body"
    if place == 0:
        raw["author"], raw["author_fullname"] = "[deleted]", None
    elif place == 1:
        _remove(raw, field)
    elif place == 2:
        raw["author"], raw[field] = "[deleted]", "[deleted]"
    elif place == 3:
        raw[field] = ""
    elif place == 4:
        raw["score"] = None
        raw[field] = f"{_ZERO_WIDTH}{raw[field]}\x00"
    elif place == 5:
        raw[field] = f"{raw[field]}\n\n&amp;#x200B;\n\nTea &amp; biscuits &lt;3"
    elif place == 6 and post.kind == "submission":
        raw["crosspost_parent"] = f"t3_{post.base36[::-1]}"


def _remove(raw: Raw, field: str) -> None:
    raw[field] = "[removed]"
    if "removed_by_category" in raw:
        raw["removed_by_category"] = "moderator"


def bot_objects(rng: np.random.Generator, raws: list[Raw]) -> list[Raw]:
    """Posts of AutoModerator, about one for thirty of `raws`."""
    return [_bot(raw) for raw in _some(rng, raws, 0.03)]


def _bot(raw: Raw) -> Raw:
    field = "selftext" if "selftext" in raw else "body"
    bot = {
        **raw,
        "author": "AutoModerator",
        "author_fullname": "t2_6l4z3",
        "id": f"{raw['id']}b",
        "distinguished": "moderator",
        "edited": False,
        field: _BOT_TEXT,
    }
    if "name" in bot:
        bot["name"] = f"{raw['name']}b"
    return bot


def duplicates(rng: np.random.Generator, raws: list[Raw]) -> list[Raw]:
    """Second copies of some of `raws`: fetched ten days later, with another score."""
    return [_again(raw) for raw in _some(rng, raws, 0.02)]


def _again(raw: Raw) -> Raw:
    field = "retrieved_utc" if "retrieved_utc" in raw else "retrieved_on"
    return {**raw, field: raw[field] + 10 * 86_400, "score": (raw["score"] or 0) + 1}


def _some(rng: np.random.Generator, raws: list[Raw], share: float) -> list[Raw]:
    count = max(1, round(share * len(raws)))
    return [raws[index] for index in rng.choice(len(raws), size=count, replace=False)]
