"""The way of a crawl: every subreddit, every listing, every tree of comments, and what goes wrong on it."""

from corpus_lonely.ingest.crawl.checkpoint import Checkpoint, CrawlFolder, Position
from corpus_lonely.ingest.crawl.client import RefusedError
from corpus_lonely.ingest.crawl.patience import NoAnswerError
from corpus_lonely.ingest.crawl.settings import CrawlSettings, Listing
from corpus_lonely.ingest.crawl.things import Api, Page, read_page, read_tree
from corpus_lonely.progress import Progress

_PAGES = 100
"""Of one listing: ten times what Reddit has."""


class Course:
    """One crawl from where its checkpoint stands to its end; the checkpoint moves with each page."""

    def __init__(
        self,
        api: Api,
        folder: CrawlFolder,
        checkpoint: Checkpoint,
        settings: CrawlSettings,
        progress: Progress,
    ) -> None:
        self._api, self._folder, self._checkpoint = api, folder, checkpoint
        self._settings, self._progress = settings, progress
        self._told = 0
        """Requests that progress knows of."""
        self._failing = False
        """Whether the last request got no answer: what it was for is set aside, but not saved yet."""

    def run(self) -> None:
        """Fetches what is left. CrawlError when Reddit refuses the credentials or is down."""
        self._progress.start("Crawling Reddit", None, "requests")
        for name, position in self._checkpoint.positions.items():
            if not position.done:
                self._subreddit(name, position)
        self._folder.save(self._checkpoint)
        self._progress.finish()

    def _subreddit(self, name: str, position: Position) -> None:
        try:
            self._listings(name, position)
            if self._settings.comments:
                self._trees(name, position)
            submissions, comments = self._folder.found(name)
            self._progress.note(f"r/{name}: {submissions:,} submissions, {comments:,} comments")
        except RefusedError as error:
            self._failing = False
            position.refused = str(error)
            self._progress.note(f"r/{name} {error}")
        position.done = True
        self._save()

    def _listings(self, name: str, position: Position) -> None:
        """Raises RefusedError when the very first page is refused."""
        plan = self._settings.plan(name)
        while position.listings < len(plan):
            listing = plan[position.listings]
            try:
                page = read_page(self._api, listing, position.after)
            except RefusedError as error:
                if not position.listings and not position.after:
                    raise
                self._failing = False
                self._set_aside(name, position, f"{listing.name} {error}")
                _next(position)
                self._save()
            except NoAnswerError as error:
                self._no_answer(name, position, listing.name, error)
                _next(position)
            else:
                self._take(name, position, page, listing.name)
                self._turn(name, page, listing, plan, position)
                self._save()

    def _turn(
        self, name: str, page: Page, listing: Listing, plan: list[Listing], position: Position
    ) -> None:
        """Moves to the next page, or to the next listing."""
        old = bool(page.posts) and page.posts[-1]["created_utc"] < self._settings.since
        if not (listing.by_time and old):
            position.after = page.after
            if not page.after or page.after in position.passed:
                _next(position)
            elif len(position.passed) == _PAGES:
                self._set_aside(
                    name, position, f"{listing.name} has not ended after {_PAGES} pages"
                )
                _next(position)
            else:
                position.passed.append(page.after)
            return
        _next(position)
        if listing.name == "new":
            # it reached back to --since, so no other listing can have a submission that it lacks
            while position.listings < len(plan) and plan[position.listings].name != "comments":
                position.listings += 1

    def _trees(self, name: str, position: Position) -> None:
        settings = self._settings
        answered = self._folder.answered(name, settings.since, settings.before)
        for number in range(position.trees, len(answered)):
            try:
                tree = read_tree(self._api, answered[number])
            except RefusedError as error:  # deleted since it was listed
                self._failing = False
                self._progress.note(f"r/{name}: t3_{answered[number]} {error}")
            except NoAnswerError as error:
                self._no_answer(name, position, f"comments of t3_{answered[number]}", error)
                position.trees = number + 1
                continue
            else:
                self._take(name, position, tree, f"comments of {number + 1:,} of {len(answered):,}")
            position.trees = number + 1
            self._save()

    def _take(self, name: str, position: Position, page: Page, what: str) -> None:
        self._failing = False
        position.odd += page.odd
        self._folder.add(post for post in page.posts if str(post.get("subreddit")).lower() == name)
        asked, self._told = self._api.requests - self._told, self._api.requests
        self._progress.advance(asked, f"{self._folder.count:,} posts, r/{name} {what}")

    def _no_answer(self, name: str, position: Position, what: str, error: NoAnswerError) -> None:
        """Once it may be this one thing; twice in a row, it is Reddit, and all ends as it was saved."""
        if self._failing:
            raise error
        self._failing = True
        self._set_aside(name, position, f"{what}: {error.what}")

    def _set_aside(self, name: str, position: Position, what: str) -> None:
        position.set_aside.append(what)
        self._progress.note(f"r/{name} set aside: {what}")

    def _save(self) -> None:
        if not self._failing:  # else it may turn out that Reddit is down
            self._folder.save(self._checkpoint)


def _next(position: Position) -> None:
    position.listings += 1
    position.after, position.passed = None, []
