"""A small HTTP server that behaves as Reddit's API does: tokens, listings, comments, limits, failures."""

import base64
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

Thing = dict[str, Any]
DAY = 86400
NOW = 1_760_000_000
"""2025-10-09, when all windows of `top` end."""
WINDOWS = {"hour": 3600, "day": DAY, "week": 7 * DAY, "month": 30 * DAY, "year": 365 * DAY}
CLIENT = ("an-id", "a-secret")


@dataclass(frozen=True)
class Answer:
    """What the server sends."""

    content: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A request as it came, tokens aside."""

    number: int
    method: str
    path: str
    query: dict[str, str]
    authorization: str


def submission(name: str, subreddit: str = "lonely", /, **fields: Any) -> Thing:
    """A submission as the API gives it."""
    return {
        "name": f"t3_{name}", "id": name, "subreddit": subreddit, "author": f"Author_{name}",
        "created_utc": float(NOW - 3600), "title": f"Title {name}", "selftext": f"What {name} says.",
        "selftext_html": "<p>again</p>", "is_self": True, "score": 1, "num_comments": 0,
        "over_18": False, "edited": False, "permalink": f"/r/{subreddit}/comments/{name}/t/",
        "removed_by_category": None, "media": {"deep": ["things"]}, **fields,
    }  # fmt: skip


def comment(name: str, link: str, parent: str | None = None, /, **fields: Any) -> Thing:
    """A comment as the API gives it; parent: the id of a comment, or None for the submission."""
    return {
        "name": f"t1_{name}", "id": name, "subreddit": "lonely", "author": f"Author_{name}",
        "created_utc": float(NOW - 1800), "body": f"Answer {name} in a few words.",
        "body_html": "<p>again</p>", "link_id": f"t3_{link}", "score": 1, "edited": 1.7e9,
        "parent_id": f"t1_{parent}" if parent else f"t3_{link}", "score_hidden": False, **fields,
    }  # fmt: skip


@dataclass
class Reddit:
    """What the server knows, and how it misbehaves."""

    submissions: list[Thing] = field(default_factory=list)
    comments: list[Thing] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    """By subreddit: private, banned or quarantined."""
    cap: int = 1000
    """Items at which a listing ends."""
    breadth: int = 3
    """Children of one parent shown before a `more`."""
    depth: int = 3
    """Levels shown before a `continue this thread`."""
    token_lasts: int = 10**9
    """Requests that a token is good for."""
    expires_in: int = 86400
    trouble: Callable[[Asked], Answer | None] = lambda _: None
    """Asked before each request; what it returns is sent instead."""
    limit: Callable[[Asked], tuple[float, int, int]] = lambda _: (900.0, 100, 500)
    """Remaining, used, reset of the headers."""
    asked: list[Asked] = field(default_factory=list)
    tokens: dict[str, int] = field(default_factory=dict)
    """Requests made with each."""

    def answer(self, asked: Asked, body: dict[str, str]) -> Answer:
        self.asked.append(asked)
        if trouble := self.trouble(asked):
            return trouble
        if asked.path == "/api/v1/access_token":
            return self._token(asked)
        token = asked.authorization.removeprefix("bearer ")
        if token not in self.tokens or self.tokens[token] >= self.token_lasts:
            challenge = 'Bearer realm="reddit", error="invalid_token"'
            return Answer(
                {"message": "Unauthorized", "error": 401}, 401, {"www-authenticate": challenge}
            )
        self.tokens[token] += 1
        remaining, used, reset = self.limit(asked)
        told = {"remaining": remaining, "used": used, "reset": reset}
        answer = self._content(asked, body)
        answer.headers.update({f"x-ratelimit-{name}": str(value) for name, value in told.items()})
        return answer

    def _token(self, asked: Asked) -> Answer:
        expected = base64.b64encode(":".join(CLIENT).encode()).decode()
        if asked.authorization != f"Basic {expected}":
            return Answer({"message": "Unauthorized", "error": 401}, 401)
        token = f"token-{len(self.tokens)}"
        self.tokens[token] = 0
        facts = {"token_type": "bearer", "expires_in": self.expires_in, "scope": "*"}
        return Answer({"access_token": token, **facts})

    def _content(self, asked: Asked, body: dict[str, str]) -> Answer:
        match asked.path.strip("/").split("/"):
            case ["r", subreddit, kind]:
                return self._subreddit(subreddit, kind, asked.query)
            case ["comments", link]:
                return self._tree(link, None)
            case ["comments", link, "_", parent]:
                return self._tree(link, parent)
            case ["api", "morechildren"]:
                return self._more(body)
        return Answer({"message": "Not Found", "error": 404}, 404)

    def _subreddit(self, subreddit: str, kind: str, query: dict[str, str]) -> Answer:
        state = self.states.get(subreddit)
        if state:
            status = 404 if state == "banned" else 403
            return Answer({"reason": state, "message": "no", "error": status}, status)
        things = self.comments if kind == "comments" else self.submissions
        mine = [thing for thing in things if thing["subreddit"].lower() == subreddit]
        if not mine:
            return Answer("", 302, {"location": f"/subreddits/search.json?q={subreddit}"})
        return Answer(self._page(_sorted(mine, kind, query)[: self.cap], query))

    def _page(self, things: list[Thing], query: dict[str, str]) -> Thing:
        names = [thing["name"] for thing in things]
        begin = names.index(query["after"]) + 1 if "after" in query else 0
        end = begin + min(int(query.get("limit", "25")), 100)
        after = names[end - 1] if end < len(names) else None
        return _listing(things[begin:end], after)

    def _children(self, parent: str) -> list[Thing]:
        return [comment for comment in self.comments if comment["parent_id"] == parent]

    def _tree(self, link: str, parent: str | None) -> Answer:
        found = [thing for thing in self.submissions if thing["id"] == link]
        if not found:
            return Answer({"message": "Not Found", "error": 404}, 404)
        if parent is None:
            children = self._shown(f"t3_{link}", 0)
        else:
            top = next(thing for thing in self.comments if thing["id"] == parent)
            children = [_child({**top, "replies": self._replies(top, 0)})]
        return Answer([_listing(found, None), {"kind": "Listing", "data": {"children": children}}])

    def _replies(self, thing: Thing, level: int) -> Any:
        shown = self._shown(thing["name"], level + 1)
        return {"kind": "Listing", "data": {"children": shown}} if shown else ""

    def _shown(self, parent: str, level: int) -> list[Thing]:
        children = self._children(parent)
        if children and level >= self.depth:
            return [_stub(parent, [])]
        shown = [
            _child({**x, "replies": self._replies(x, level)}) for x in children[: self.breadth]
        ]
        rest = [child["id"] for child in children[self.breadth :]]
        return [*shown, _stub(parent, rest)] if rest else shown

    def _more(self, body: dict[str, str]) -> Answer:
        wanted = body["children"].split(",")
        if len(wanted) > 100:
            return Answer({"message": "too many", "error": 400}, 400)
        things = []
        for thing in self.comments:
            if thing["id"] in wanted and thing["link_id"] == body["link_id"]:
                things.append(_child({**thing, "replies": ""}))
                if below := self._children(thing["name"]):
                    things.append(_stub(thing["name"], [child["id"] for child in below]))
        return Answer({"json": {"errors": [], "data": {"things": things}}})


def _sorted(things: list[Thing], kind: str, query: dict[str, str]) -> list[Thing]:
    newest = sorted(things, key=lambda thing: (-thing["created_utc"], thing["id"]))
    if kind in ("new", "comments"):
        return newest
    if kind == "rising":
        return newest[:25]
    first = NOW - WINDOWS.get(query.get("t", "all"), NOW)
    within = [thing for thing in newest if thing["created_utc"] >= first]
    if kind == "search":
        within = [thing for thing in within if _matches(thing, query["q"])]
        kind = query["sort"]
    keys: dict[str, Callable[[Thing], Any]] = {
        "top": lambda thing: -thing["score"],
        "hot": lambda thing: -thing["score"] * 10 - thing["created_utc"] / DAY,
        "controversial": lambda thing: thing["score"],
        "comments": lambda thing: -thing["num_comments"],
    }
    return sorted(within, key=keys[kind]) if kind in keys else within


def _matches(thing: Thing, query: str) -> bool:
    if query in ("self:yes", "self:no"):
        return thing["is_self"] is (query == "self:yes")
    return query.lower() in f"{thing['title']} {thing['selftext']}".lower()


def _child(thing: Thing) -> Thing:
    return {"kind": thing["name"][:2], "data": thing}


def _stub(parent: str, children: list[str]) -> Thing:
    facts = {"count": len(children), "name": "t1__", "id": "_", "parent_id": parent}
    return {"kind": "more", "data": {**facts, "children": children}}


def _listing(things: Iterable[Thing], after: str | None) -> Thing:
    return {"kind": "Listing", "data": {"after": after, "children": [_child(x) for x in things]}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    lock: ClassVar[threading.Lock]
    reddit: ClassVar[Reddit]

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        self._answer(_first(self.rfile.read(length).decode()))

    def _answer(self, body: dict[str, str]) -> None:
        url = urlsplit(self.path)
        with self.lock:
            asked = Asked(
                len(self.reddit.asked) + 1,
                self.command,
                url.path,
                _first(url.query),
                self.headers.get("authorization", ""),
            )
            answer = self.reddit.answer(asked, body)
        content = answer.content
        packed = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(packed)))
        if (
            self.close_connection
        ):  # asked for with each token: a client that knows does not wait on it
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(packed)

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # the client was killed
            self.close_connection = True


def _first(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


def served(reddit: Reddit) -> Iterator[str]:
    """Serves until the generator is closed; yields the address."""

    class Handler(_Handler):
        lock = threading.Lock()

    Handler.reddit = reddit
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()
