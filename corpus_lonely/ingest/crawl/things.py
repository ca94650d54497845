"""What Reddit answers, taken apart: pages of listings, and whole trees of comments."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

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
    """A page of a listing."""

    posts: list[Thing]
    after: str | None
    """Where the next page begins; None when this is the last."""


def read_page(api: Api, listing: Listing, after: str | None) -> Page:
    """One page of a listing, from its beginning or after an item."""
    params: dict[str, str | int] = {**listing.params, "limit": PAGE}
    if after:
        params["after"] = after
    data = _listing(api.get(listing.path, params))
    posts = [child["data"] for child in data["children"] if child["kind"] in _POSTS]
    following = data.get("after")
    return Page(posts, following if following and following != after else None)


def read_tree(api: Api, submission: str) -> list[Thing]:
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

    def read(self) -> list[Thing]:
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
        return list(self.comments.values())

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
            self._take(answer["json"]["data"]["things"])
        except (KeyError, TypeError):
            raise NoAnswerError("Reddit answers with no comments to a `more`") from None

    def _take(self, children: Iterable[Thing]) -> None:
        for kind, data in _flat(children):
            if kind == "more":
                self.stubs.append(data)
            else:
                self.comments.setdefault(data["id"], data)


def _flat(children: Iterable[Thing]) -> Iterator[tuple[str, Thing]]:
    """Kind and content of comments and stubs at all depths; the comments without their replies."""
    waiting = deque(children)
    while waiting:
        child = waiting.popleft()
        if child["kind"] not in ("t1", "more"):
            continue
        data = child["data"]
        if replies := data.get("replies"):  # an empty string where there are none
            waiting.extend(replies["data"]["children"])
        yield child["kind"], {name: data[name] for name in data if name != "replies"}


def _listing(answer: Any) -> dict[str, Any]:
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("children"), list):
        raise NoAnswerError("Reddit answers with what is no listing")
    return data
