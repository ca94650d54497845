"""Raw objects as Reddit's dumps hold them, with the fields that came, went and changed their type."""

from datetime import datetime
from typing import Any

import numpy as np

from corpus_lonely.demo.corpus import Post

Raw = dict[str, Any]

_STRING_MONTHS, _FLOAT_MONTHS = ("2019-04", "2019-11"), ("2020-09", "2021-01")
"""When `created_utc` is a string or a float: in real dumps before 2016 and since 2024."""
_RETRIEVED_AFTER_S = 40 * 86_400


def raw_object(rng: np.random.Generator, post: Post, thread: list[str]) -> Raw:
    """The object of a post.

    thread: ids of the submissions of its subreddit so far; a submission joins it, a comment hangs
    under one of them.
    """
    if post.kind == "submission":
        thread.append(post.base36)
        return {**_shared(rng, post), **_submission(rng, post)}
    parent = thread[int(rng.integers(len(thread)))] if thread else "ntc0z"
    return {**_shared(rng, post), **_comment(rng, post, parent)}


def _shared(rng: np.random.Generator, post: Post) -> Raw:
    created = int(post.created_at.timestamp())
    raw: Raw = {
        "author": post.author.name,
        "author_fullname": f"t2_{post.author.name[-4:]}",
        "created_utc": _as_of(created, post.created_at),
        "distinguished": None,
        "edited": _edited(rng, created),
        "gilded": 0,
        "id": post.base36,
        "score": int(rng.geometric(0.12)),
        "stickied": False,
        "subreddit": post.subreddit,
        "subreddit_id": f"t5_{sum(post.subreddit.encode()):x}",
    }
    raw[_retrieved_field(post)] = created + _RETRIEVED_AFTER_S
    if _has_name(post):
        raw["name"] = post.post_id
    return raw


def _as_of(created: int, when: datetime) -> int | str | float:
    month = f"{when:%Y-%m}"
    if month in _STRING_MONTHS:
        return str(created)
    return float(created) if month in _FLOAT_MONTHS else created


def _edited(rng: np.random.Generator, created: int) -> bool | int | float:
    """False for most; a moment, as an integer or a float; true where only the fact is known."""
    moment = created + int(rng.integers(60, 86_400))
    place = int(np.searchsorted((0.92, 0.955, 0.99), rng.random()))
    return (False, moment, float(moment), True)[place]


def _retrieved_field(post: Post) -> str:
    month = f"{post.created_at:%Y-%m}"
    first = "2020-05" if post.kind == "submission" else "2021-02"
    return "retrieved_utc" if first <= month <= "2021-06" else "retrieved_on"


def _has_name(post: Post) -> bool:
    return f"{post.created_at:%Y-%m}" >= ("2020-05" if post.kind == "submission" else "2021-02")


def _submission(rng: np.random.Generator, post: Post) -> Raw:
    path = f"/r/{post.subreddit}/comments/{post.base36}/demo/"
    raw: Raw = {
        "domain": f"self.{post.subreddit}",
        "is_self": True,
        "num_comments": int(rng.poisson(4)),
        "over_18": bool(rng.random() < 0.01),
        "permalink": path,
        "selftext": post.body,
        "title": post.title,
        "url": f"https://www.reddit.com{path}",
    }
    if f"{post.created_at:%Y-%m}" >= "2019-09":
        raw["removed_by_category"] = None
    return raw


def _comment(rng: np.random.Generator, post: Post, parent: str) -> Raw:
    return {
        "body": post.body,
        "controversiality": int(rng.random() < 0.03),
        "link_id": f"t3_{parent}",
        "parent_id": f"t3_{parent}",
        "permalink": f"/r/{post.subreddit}/comments/{parent}/demo/{post.base36}/",
    }
