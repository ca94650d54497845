"""The synthetic corpus: authors with tendencies of their own, and what they post over 24 months."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from corpus_lonely.demo.language import Latent, Style, compose, draw_style
from corpus_lonely.demo.truth import DEFAULT_CUT, MONTHS_BEFORE, Planted, Shares, planted
from corpus_lonely.taxonomy import loneliness

SUBREDDITS: dict[str, tuple[float, float]] = {
    "lonely": (0.40, 0.15),
    "KitchenTableTalk": (0.25, -0.10),
    "FirstYearHalls": (0.20, -0.10),
    "NewInTown": (0.15, -0.10),
}
"""Each with its share of the authors and what it adds to the prevalence; the sum over authors is 0."""
_OWN_WAY = 0.3
"""The weight of an author's own tendency against that of everyone."""
_HEAVIEST = 25.0
"""The most active author posts at most so many times as much as the least active."""
_COMMENT_LENGTH = 0.8
"""The median length of a comment, of that of a submission."""


@dataclass(frozen=True)
class Author:
    """One account: how much it posts, where, how it writes, and what it leans to."""

    name: str
    weight: float
    subreddit: str
    style: Style
    lonely_at: float
    """In [0, 1): the author leans to lonely posts where this is below the prevalence."""
    leans: dict[str, float]
    """For each category a point in [0, 1) of the labels' cumulative shares: the label leaned to."""


@dataclass(frozen=True)
class Post:
    """One post, before it becomes a line of a dump."""

    kind: str
    """`submission` or `comment`."""
    base36: str
    author: Author
    subreddit: str
    created_at: datetime
    title: str
    body: str
    latent: Latent

    @property
    def post_id(self) -> str:
        """Reddit's full name, as posts/ and scores/ have it."""
        return ("t3_" if self.kind == "submission" else "t1_") + self.base36


def make_posts(
    seed: int,
    cut: date = DEFAULT_CUT,
    *,
    submissions: int = 6000,
    comments: int = 3000,
    authors: int = 700,
) -> list[Post]:
    """The corpus, in order of time; the same for the same arguments.

    Twelve whole months before the month of the cut, twelve from that month on (UTC).
    """
    rng = np.random.default_rng([seed, 1])
    truth = planted(cut)
    people = draw_authors(rng, authors)
    kinds = rng.permutation(["submission"] * submissions + ["comment"] * comments)
    chosen = rng.choice(len(people), size=len(kinds), p=_activity(people))
    moments = sorted(zip(_times(rng, cut, chosen), chosen.tolist(), strict=True))
    return [
        _post(rng, truth, people[author], str(kind), number, when)
        for number, (kind, (when, author)) in enumerate(zip(kinds, moments, strict=True))
    ]


def draw_authors(rng: np.random.Generator, count: int) -> list[Author]:
    """Authors whose tendencies have, over all of them, the means of the truth."""
    homes = _homes(rng, count)
    lonely_at = _spread(rng, count)
    leans = {category.name: _spread(rng, count) for category in loneliness().categories}
    return [
        Author(
            name=f"demo_user_{number:04d}",
            weight=float(min(1.0 + rng.pareto(1.1), _HEAVIEST)),
            subreddit=homes[number],
            style=draw_style(rng),
            lonely_at=float(lonely_at[number]),
            leans={name: float(points[number]) for name, points in leans.items()},
        )
        for number in range(count)
    ]


def _homes(rng: np.random.Generator, count: int) -> list[str]:
    bounds = np.cumsum([share for share, _ in SUBREDDITS.values()])
    names = list(SUBREDDITS)
    places = np.searchsorted(bounds[:-1], _spread(rng, count), side="right")
    return [names[place] for place in places]


def _spread(rng: np.random.Generator, count: int) -> Shares:
    """Points in [0, 1), one in each of `count` equal parts: even, where independent ones clump."""
    return (rng.permutation(count) + rng.random(count)) / count


def _activity(people: list[Author]) -> Shares:
    weights: Shares = np.array([author.weight for author in people])
    shares: Shares = weights / weights.sum()
    return shares


def first_month(cut: date) -> datetime:
    """Midnight UTC of the corpus's first day."""
    return _month(cut, -MONTHS_BEFORE)


def _month(cut: date, offset: int) -> datetime:
    months = cut.year * 12 + cut.month - 1 + offset
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def _times(rng: np.random.Generator, cut: date, chosen: npt.NDArray[np.int64]) -> list[datetime]:
    """A moment for each post, within the stretch in which its author is active."""
    first, last = first_month(cut), _month(cut, MONTHS_BEFORE)
    count = int(chosen.max(initial=0)) + 1
    begin = np.where(rng.random(count) < 0.5, 0.0, rng.uniform(0.0, 0.6, count))
    end = np.where(rng.random(count) < 0.6, 1.0, begin + rng.uniform(0.2, 1.0, count) * (1 - begin))
    place = begin[chosen] + rng.random(len(chosen)) * (end - begin)[chosen]
    seconds = np.floor(place * (last - first).total_seconds())
    return [first + timedelta(seconds=float(second)) for second in seconds]


def _post(
    rng: np.random.Generator, truth: Planted, author: Author, kind: str, number: int, when: datetime
) -> Post:
    after = truth.is_after(when)
    names = list(SUBREDDITS)
    home = rng.random() < 0.85
    subreddit = author.subreddit if home else names[int(rng.integers(len(names)))]
    # the prevalence is the home's, so that strolling elsewhere does not move the mean over all posts
    latent = draw_latent(rng, truth, author, after)
    scale = 1.0 if kind == "submission" else _COMMENT_LENGTH
    title, body = compose(rng, latent, author.style, after, scale)
    return Post(
        kind=kind,
        base36=_base36(number * 7 + 40_000_000 + (0 if kind == "submission" else 900_000_000)),
        author=author,
        subreddit=subreddit,
        created_at=when,
        title=title if kind == "submission" else "",
        body=body,
        latent=latent,
    )


def draw_latent(
    rng: np.random.Generator,
    truth: Planted,
    author: Author,
    after: bool,
    lonely: bool | None = None,
) -> Latent:
    """What a post is: lonely or not (drawn where not given), and a distribution in each category.

    The mean over authors and posts is the truth's: everyone follows it by 0.7, and by 0.3 a leaning
    that is itself spread over the authors as the truth is.
    """
    prevalence = truth.means(after)["lonely"] + SUBREDDITS[author.subreddit][1]
    if lonely is None:
        leaning = float(author.lonely_at < prevalence)
        lonely = bool(rng.random() < (1 - _OWN_WAY) * prevalence + _OWN_WAY * leaning)
    if not lonely:
        return Latent(False, {})
    return Latent(
        True,
        {
            category.name: _shares(
                rng, truth.distribution(category, after), author.leans[category.name]
            )
            for category in loneliness().categories
        },
    )


def _shares(rng: np.random.Generator, mean: Shares, lean: float) -> Shares:
    """One label mostly, another somewhat; on average over authors `mean`."""
    own = np.zeros_like(mean)
    own[min(int(np.searchsorted(np.cumsum(mean), lean, side="right")), len(mean) - 1)] = 1.0
    odds = (1 - _OWN_WAY) * mean + _OWN_WAY * own
    main, second = rng.choice(len(mean), size=2, p=odds / odds.sum())
    somewhat = rng.uniform(0.0, 0.45)
    shares = np.zeros_like(mean)
    shares[main] += 1 - somewhat
    shares[second] += somewhat
    return shares


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits
