"""What Reddit answers, taken apart: pages of listings, and whole trees of comments."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeGuard

from corpus_lonely.ingest.crawl.patience import NoAnswerError
from corpus_lonely.ingest.crawl.settings import Listing

Thing = dict[str, Any]
"""A submission or comment as Reddit gives it."""
PAGE = 100
"""Items that Reddit gives at once at most, and ids that it takes at once for `morechildren`."""
_TREE = 500
"""Comments that it gives with a submission at most."""
_POSTS = ("t1", "t3")


class Api(Protocol):
    """What `client.RedditClient` does."""

    @property
    def requests(self) -> int:
        """Made so far, those that were made again included."""

    def get(self, path: str, params: dict[str, str | int]) -> Any:
        """The answer to a GET."""

    def post(self, path: str, data: dict[str, Any]) -> Any:
        """The answer to a POST."""


@dataclass(frozen=True)
class Page:
    """A page of a listing, or a whole tree of comments."""

    posts: list[Thing]
    after: str | None = None
    """Where the next page begins; None when this is the last."""
    odd: int = 0
    """Items passed over, for they are no posts that could be kept (see `is_post`)."""


def is_post(data: Any) -> TypeGuard[Thing]:
    """Whether that is a submission or comment with the name, id and date that all of them have."""
    if not isinstance(data, dict) or not isinstance(name := data.get("name"), str):
        return False
    created = data.get("created_utc")
    dated = isinstance(created, int | float) and math.isfinite(created)
    named = name in [f"{kind}_{data.get('id')}" for kind in _POSTS] and name.split() == [name]
    return dated and named


def read_page(api: Api, listing: Listing, after: str | None) -> Page:
    """One page of a listing, from its beginning or after an item."""
    params: dict[str, str | int] = {**listing.params, "limit": PAGE}
    if after:
        params["after"] = after
    data = _listing(api.get(listing.path, params))
    children = [child if isinstance(child, dict) else {} for child in data["children"]]
    # accounts and subreddits, which a search may find, are no posts and not odd either
    posts = [child.get("data") for child in children if child.get("kind") in (*_POSTS, None)]
    kept = [post for post in posts if is_post(post)]
    following = data.get("after")
    going_on = isinstance(following, str) and following and following != after
    return Page(kept, following if going_on else None, len(posts) - len(kept))


def read_tree(api: Api, submission: str) -> Page:
    """Every comment under a submission, `more` and `continue this thread` followed.

    submission: its id, without t3_.
    """
    return _Tree(api, submission).read()


@dataclass
class _Tree:
    """The comments of one submission while they come in; each id is asked for once."""

    api: Api
    submission: str
    comments: dict[str, Thing] = field(default_factory=dict)
    stubs: deque[Thing] = field(default_factory=deque)
    asked: set[str] = field(default_factory=set)
    odd: int = 0

    def read(self) -> Page:
        self._below("")
        while self.stubs:
            stub = self.stubs.popleft()
            ids = [name for name in stub["children"] if name not in self.asked]
            self.asked.update(ids)
            for start in range(0, len(ids), PAGE):
                self._more(ids[start : start + PAGE])
            thread = "_/" + str(stub["parent_id"]).removeprefix("t1_")
            if not stub["children"] and thread not in self.asked:  # continue this thread
                self.asked.add(thread)
                self._below(thread)
        return Page(list(self.comments.values()), odd=self.odd)

    def _below(self, comment: str) -> None:
        path = f"comments/{self.submission}/{comment}"
        answer = self.api.get(path, {"limit": _TREE, "sort": "confidence"})
        if not isinstance(answer, list) or len(answer) != 2:
            raise NoAnswerError("Reddit answers with what is no tree of comments")
        self._take(_listing(answer[1])["children"])

    def _more(self, ids: list[str]) -> None:
        wanted = {
            "link_id": f"t3_{self.submission}",
            "children": ",".join(ids),
            "sort": "confidence",
            "limit_children": "false",
        }
        answer = self.api.post("api/morechildren", wanted)
        try:
            things = answer["json"]["data"]["things"]
        except (KeyError, TypeError):
            things = None
        if not isinstance(things, list):
            raise NoAnswerError("Reddit answers with no comments to a `more`")
        self._take(things)

    def _take(self, children: Iterable[Any]) -> None:
        for kind, data in _flat(children):
            if kind == "more" and _is_stub(data):
                self.stubs.append(data)
            elif kind == "t1" and is_post(data):
                self.comments.setdefault(data["id"], data)
            else:
                self.odd += 1


def _flat(children: Iterable[Any]) -> Iterator[tuple[str | None, Thing]]:
    """Kind and content of comments and stubs at all depths; the comments without their replies.

    The kind is None of an item that is none at all.
    """
    waiting = deque(children)
    while waiting:
        child = waiting.popleft()
        data = child.get("data") if isinstance(child, dict) else None
        if not isinstance(data, dict):
            yield None, {}
            continue
        if child.get("kind") not in ("t1", "more"):
            continue
        if replies := data.get("replies"):  # an empty string where there are none
            waiting.extend(_replies(replies))
        yield child["kind"], {name: data[name] for name in data if name != "replies"}


def _replies(replies: Any) -> list[Any]:
    """The children of a listing of replies; an item that is none where it is no listing."""
    try:
        return _listing(replies)["children"]  # type: ignore[no-any-return]
    except NoAnswerError:
        return [None]


def _is_stub(data: Thing) -> bool:
    ids = data.get("children")
    return (
        isinstance(ids, list)
        and all(isinstance(name, str) for name in ids)
        and isinstance(data.get("parent_id"), str)
    )


def _listing(answer: Any) -> dict[str, Any]:
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("children"), list):
        raise NoAnswerError("Reddit answers with what is no listing")
    return data
