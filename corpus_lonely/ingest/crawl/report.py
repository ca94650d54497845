"""What a crawl found, what Reddit refused, and what became of it in the posts folder."""

from dataclasses import dataclass
from typing import Any

from corpus_lonely.ingest.report import IngestReport


@dataclass(frozen=True)
class CrawlReport:
    """What one run of `crawl_reddit` did."""

    fetched: int
    """Submissions and comments that Reddit gave, each once; earlier runs of this crawl included."""
    requests: int
    """Made by this run, those for tokens and those that were repeated included."""
    repeated: int
    """Of these, those made again after a 429, a 5xx or a broken connection."""
    refused: dict[str, str]
    """Subreddits that Reddit gives nothing of, and why."""
    set_aside: dict[str, list[str]]
    """By subreddit, listings and submissions that Reddit failed to give."""
    passed_over: dict[str, int]
    """By subreddit, items without name, id or date, each as often as a listing had it."""
    ingest: IngestReport | None
    """What became of them; None when nothing was fetched."""

    @property
    def whole(self) -> bool:
        """Whether Reddit gave all that was asked for."""
        return not (self.refused or self.set_aside)

    def as_json(self) -> dict[str, Any]:
        """For --report."""
        return {
            "fetched": self.fetched,
            "requests": self.requests,
            "repeated": self.repeated,
            "refused": self.refused,
            "set_aside": self.set_aside,
            "passed_over": self.passed_over,
            "ingest": self.ingest.as_json() if self.ingest else None,
        }
