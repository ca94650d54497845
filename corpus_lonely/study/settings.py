"""What a study is asked, checked before anything is read."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from corpus_lonely.errors import SettingsError
from corpus_lonely.study.periods import UNITS
from corpus_lonely.study.selection import KINDS

STRATA = ("subreddit", "kind")
PRIVATE = (
    "text", "title", "body", "selftext", "author", "author_flair", "post_id", "id", "name", "permalink", "url",
    "link_id", "parent_id", "crosspost", "near_duplicate_of",
)  # fmt: skip
"""Columns whose values no report shows, in whatever case."""


@dataclass(frozen=True)
class StudySettings:
    """What `corpus-lonely study` is asked."""

    scores: str
    """A file, folder, glob or URL of scores."""
    cut: date
    """Midnight UTC of this day begins the period after."""
    out: Path
    """The folder of the report."""
    kind: str = "both"
    """`submission`, `comment` or `both`."""
    min_authors: int = 5
    """Months with fewer different authors are left out of tables, figure and periods."""
    threshold: float = 0.5
    """From this P(lonely) on a post counts as lonely in `share_at_threshold`."""
    replicates: int = 2000
    """Bootstrap replicates."""
    seed: int = 0
    pre: int | None = None
    """Months before the cut that are compared, rounded up to whole ones (or weeks); all when None. Earlier ones
    serve trend and season."""
    post: int | None = None
    """Months from the cut on that are compared, rounded up likewise; all when None."""
    standardise: str | None = None
    """`subreddit` or `kind`: hold its mix at that of before, as one more estimate."""
    gold: Path | None = None
    """A labelled sample, to correct for the classifier's errors."""
    where: tuple[tuple[str, str], ...] = ()
    """Columns with the value that rows must have; several values of one column are alternatives."""
    posts: str | None = None
    """The posts that were scored: columns that scores lack are looked up in them, by `post_id`."""
    marks: str | None = None
    """Marks of these posts, as `corpus-lonely mark` makes them, for columns that neither scores nor posts need have."""
    group: str | None = None
    """A column whose values are compared each by itself."""
    by: str = "month"
    """`week` for a table and a figure by week; too few authors are left out by week then."""

    def __post_init__(self) -> None:
        rules = (
            (
                self.kind in KINDS,
                f"--kind must be one of {', '.join(KINDS)}, got {self.kind!r}",
            ),
            (self.min_authors >= 1, f"--min-authors must be at least 1, got {self.min_authors}"),
            (
                0 < self.threshold < 1,
                f"--threshold must lie between 0 and 1, got {self.threshold:g}",
            ),
            (self.replicates >= 100, f"--replicates must be at least 100, got {self.replicates}"),
            (self.seed >= 0, f"--seed must be at least 0, got {self.seed}"),
            *(
                (months is None or months >= 1, f"--{name} must be at least 1, got {months}")
                for name, months in (("pre", self.pre), ("post", self.post))
            ),
            (
                self.group is None or self.group.strip().lower() not in PRIVATE,
                f"--group must be no column of texts, people or posts, got {self.group!r}",
            ),
            (
                self.by in UNITS,
                f"--by must be one of {', '.join(UNITS)}, got {self.by!r}",
            ),
            (
                self.standardise in (None, *STRATA),
                f"--standardise must be one of {', '.join(STRATA)}, got {self.standardise!r}",
            ),
        )
        for kept, rule in rules:
            if not kept:
                raise SettingsError(rule)
