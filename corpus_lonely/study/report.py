"""What a study found, as tables, as text, and as what the data cannot say."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import polars as pl

from corpus_lonely.study.figures import units_between, worded
from corpus_lonely.study.gold import FEWEST, Labelled
from corpus_lonely.study.mix import caveats_of
from corpus_lonely.study.periods import AFTER, BEFORE
from corpus_lonely.study.series import Placebo
from corpus_lonely.taxonomy import Taxonomy

CLASSIFIER_CAVEAT = (
    "These are differences of model scores, not corrected for classifier error: where the model errs "
    "differently before and after, part or all of a difference may be the model's; and as posts that "
    "are not lonely weigh in a little, a change in how many are lonely can move the labels by itself"
)
PERIODS_CAVEAT = (
    "A difference between two periods is no effect of what happened at the cut: trend and season "
    "are not taken out of it. Compare `seasonal` and `its_level`, and the placebo dates"
)
NO_GOLD_CAVEAT = (
    "Only the error rates on the labels the model was trained with are known, and those are of another "
    "corpus: label a sample of yours (`corpus-lonely sample`) and give it with --gold"
)
INTERVALS_CAVEAT = (
    "The intervals of before against after resample authors; what a month does to everyone at once is not "
    "in them, but in `authors_and_months`. Estimates by month (`blocks_of_time`, `seasonal`, `its_level`) take months for "
    "independent, and are too sure where the same few people write for many months. q adjusts p for the number of labels (Benjamini and Hochberg); intervals "
    "are not adjusted"
)


@dataclass(frozen=True)
class Coverage:
    """Which rows and months a study stands on."""

    read: int
    kept: int
    dropped: dict[str, int]
    """Rows left out, by reason; read = kept + dropped."""
    kinds: dict[str, int]
    """Kept rows by kind."""
    first: str
    """The first and the last moment among kept rows, ISO 8601, UTC."""
    last: str
    missing_months: list[str]
    """Months (or weeks) between the first and the last without any row."""
    suppressed: list[str]
    """Months or weeks, or sides of that which holds the cut, with too few authors; dropped for that reason."""
    authors: int
    posts_without_author: int
    unfinished: bool
    """Whether scoring had not ended when the study was made."""

    @property
    def counts_authors(self) -> bool:
        """Whether any author is known, so that months can be suppressed by authors at all."""
        return self.authors > 0

    @property
    def unit(self) -> str:
        """What a month needs enough of: `authors`, or `posts` where no author is known."""
        return "authors" if self.counts_authors else "posts"


@dataclass(frozen=True)
class StudyReport:
    """What `run_study` returns, and has written to `out`."""

    out: Path
    taxonomy: Taxonomy
    monthly: pl.DataFrame
    """See `monthly.csv`: one row a month, period, label and measure."""
    periods: pl.DataFrame
    """See `periods.csv`: one row a label and measure, before, after and their difference."""
    coverage: Coverage
    caveats: list[str]
    threshold: float
    """Of P(lonely), in `share_at_threshold`."""
    estimates: pl.DataFrame
    """See `estimates.csv`: one row an estimator, label and measure."""
    events: pl.DataFrame
    """See `events.csv`: one row a month, label and measure."""
    corrected: pl.DataFrame | None = None
    """See `corrected.csv`; None without a labelled sample, empty where a period has too few labelled posts."""
    labelled: Labelled | None = None
    placebo: Placebo | None = None
    kinds: pl.DataFrame | None = None
    """See `kinds.csv`; None where posts are of one kind, empty where one has too few authors."""
    groups: pl.DataFrame | None = None
    """See `groups.csv`; None where none are asked for, empty where fewer than two have enough authors."""
    grouped_by: str | None = None
    """The column of `groups`."""
    weekly: pl.DataFrame | None = None
    """See `weekly.csv`, like `monthly`; None unless asked for."""
    mix: pl.DataFrame = field(default_factory=pl.DataFrame)
    """See `mix.csv`: posts and authors by kind and subreddit, before and after."""
    share_of_authors: float = 1.0
    """The random part of the authors that estimates within authors stand on."""
    files: list[Path] = field(default_factory=list)

    def with_caveats(self, kind: str, min_authors: int) -> Self:
        """The same, told what it cannot say."""
        return replace(self, caveats=caveats(self, kind, min_authors))

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """What is written, by name."""
        always = {"monthly": self.monthly, "periods": self.periods}
        always |= {"estimates": self.estimates, "events": self.events}
        some = {"kinds": self.kinds, "groups": self.groups, "weekly": self.weekly, "mix": self.mix}
        always |= {n: table for n, table in some.items() if table is not None and len(table)}
        if self.corrected is None or not self.is_corrected:
            return always
        return {**always, "corrected": self.corrected}

    @property
    def is_corrected(self) -> bool:
        """Whether there were labelled posts enough to correct for the classifier's errors."""
        return self.corrected is not None and not self.corrected.is_empty()

    @property
    def course(self) -> pl.DataFrame:
        """By week where that is asked for, else by month."""
        return self.monthly if self.weekly is None else self.weekly

    @property
    def unit(self) -> str:
        """Of `course`."""
        return "month" if self.weekly is None else "week"

    def text(self) -> str:
        """A compact table: loneliness, then each category's labels by the size of the difference."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield _line("", "before", "after", "difference", "95 % interval")
        root = self.taxonomy.root
        yield f"{root.title}, share of all posts"
        for measure in ("mean_probability", "share_at_threshold"):
            yield from self._rows(root.name, measure)
        for category in self.taxonomy.categories:
            yield f"{category.title}, share of lonely posts"
            yield from self._rows(category.name, "share_of_lonely")
        yield "* the interval leaves out 0; one row in twenty would by chance, were nothing changed."

    def _rows(self, group: str, measure: str) -> Iterator[str]:
        rows = self.periods.filter(pl.col("group") == group, pl.col("measure") == measure)
        by_size = rows.sort(pl.col("difference").abs(), descending=True, nulls_last=True)
        names = {
            "mean_probability": "mean probability",
            "share_at_threshold": f"at {self.threshold:g} or above",
        }
        for row in by_size.iter_rows(named=True):
            yield _line(
                f"  {names.get(measure, worded(row['label']))}",
                percent(row["before"]),
                percent(row["after"]),
                _points(row["difference"]),
                _interval(row["difference_low"], row["difference_high"]),
            )


def _line(name: str, before: str, after: str, difference: str, interval: str) -> str:
    return f"{name:<26}{before:>9}{after:>9}{difference:>13}   {interval}".rstrip()


def percent(value: float | None) -> str:
    """A share with one decimal; a dash where there is none."""
    return "-" if value is None else f"{100 * value:.1f} %"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f} pp"


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "-"
    mark = " *" if low > 0 or high < 0 else ""
    return f"[{100 * low:+.1f}, {100 * high:+.1f}]{mark}"


def caveats(report: StudyReport, kind: str, min_authors: int) -> list[str]:
    """What the data and the method cannot say, one sentence each."""
    coverage = report.coverage
    told = [
        *_about_errors(report),
        PERIODS_CAVEAT,
        INTERVALS_CAVEAT,
        *_about_estimators(report),
        *_about_kinds(coverage, kind),
        *caveats_of(report.mix, corrected=report.is_corrected),
        *_about_groups(report, min_authors),
        *_about_authors(coverage, min_authors, report.unit),
        *_about_rows(coverage),
    ]
    return [f"{sentence}." for sentence in told]


def _about_errors(report: StudyReport) -> Iterator[str]:
    if report.corrected is None or report.labelled is None:
        yield CLASSIFIER_CAVEAT
        yield NO_GOLD_CAVEAT
        root = report.taxonomy.root.name
        row = report.periods.filter(
            pl.col("label") == root, pl.col("measure") == "mean_probability"
        )
        before = row["before"].item()
        if before is not None and not 0.3 <= before <= 0.65:
            yield (
                f"The mean probability of being lonely is {100 * before:.0f} % before, far from the 47 % "
                "of FIG-Loneliness: a model trained there has other error rates here"
            )
        return
    labelled = report.labelled
    of_rows = (
        f"of {labelled.read:,} rows of the sample {labelled.blank:,} are not filled in and {labelled.unknown:,} "
        "have no score in the periods compared"
    )
    if not report.is_corrected:
        yield CLASSIFIER_CAVEAT
        yield (
            f"There are too few labelled posts to correct anything: {labelled.posts(BEFORE):,} before and "
            f"{labelled.posts(AFTER):,} after, and {FEWEST} are needed in each period; {of_rows}"
        )
        return
    yield (
        f"Corrected values stand on {len(labelled.rows):,} labelled posts; {of_rows}. They take the labels for "
        "the truth, and count each labelled post as independent of the others"
    )


def _about_estimators(report: StudyReport) -> Iterator[str]:
    there = set(report.estimates["estimator"])
    if "seasonal" not in there:
        yield (
            "The season is not taken out: that takes the same months of an earlier year, before the "
            "months compared"
        )
    if report.placebo is None:
        yield "There are too few months before the cut for placebo dates"
    elif report.placebo.smallest_p > 0.05:
        yield (
            f"With {len(report.placebo.months)} placebo dates no p-value of theirs can be below "
            f"{report.placebo.smallest_p:.2f}, however large the change"
        )
    if report.share_of_authors < 1:
        yield (
            f"Estimates within authors stand on a random {100 * report.share_of_authors:.1f} % of the "
            "authors, to bound memory"
        )


def _about_kinds(coverage: Coverage, kind: str) -> Iterator[str]:
    if kind == "both" and len(coverage.kinds) > 1:
        counts = " and ".join(f"{rows:,} {name}s" for name, rows in coverage.kinds.items())
        yield (
            f"{counts} are pooled, and a change in their mix looks like a change in the labels; "
            "`kinds.csv` has each by itself, and --kind studies one alone"
        )
    if coverage.kinds.get("comment"):
        yield "For a model trained on submissions alone, as on FIG-Loneliness, comments are another domain"


def _about_groups(report: StudyReport, min_authors: int) -> Iterator[str]:
    if report.groups is not None and report.groups.is_empty():
        yield (
            f"The groups of {report.grouped_by!r} are not shown: fewer than two have {min_authors} authors in both periods, or those "
            "left over would be found by subtraction"
        )


def _about_authors(coverage: Coverage, min_authors: int, by: str) -> Iterator[str]:
    if not coverage.counts_authors:
        yield (
            "No author is known: each post counts as an author of its own, and the intervals are "
            "too narrow if some wrote many"
        )
    elif coverage.posts_without_author:
        yield (
            f"{coverage.posts_without_author:,} posts are without an author, and each counts as an "
            "author of its own in the intervals"
        )
    if coverage.suppressed:
        yield (
            f"{by.capitalize()}s with fewer than {min_authors} {coverage.unit} are left out, of the periods "
            f"too: {', '.join(coverage.suppressed)}"
        )


def _about_rows(coverage: Coverage) -> Iterator[str]:
    if coverage.missing_months:
        unit = "Weeks" if len(coverage.missing_months[0]) > len("2020-03") else "Months"
        yield f"{unit} without a post: {', '.join(coverage.missing_months)}"
    if coverage.dropped:
        reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in coverage.dropped.items())
        yield f"Of {coverage.read:,} rows {coverage.kept:,} are counted; left out: {reasons}"
    if coverage.unfinished:
        yield "Scoring has not ended: the rows still missing may be of one time more than of another"


def coverage_of(
    counted: pl.DataFrame,
    units: pl.DataFrame,
    authors: int,
    periods: pl.DataFrame,
    *,
    unfinished: bool,
) -> Coverage:
    """From `selection.counted_rows`, the sums by month or week (with `suppressed`), authors and `period_counts`."""
    kept = counted.filter(pl.col("reason") == "kept")
    left_out = (
        counted.filter(pl.col("reason") != "kept").group_by("reason").agg(pl.col("rows").sum())
    )
    by = "week" if "week" in units.columns else "month"
    there = units[by].unique().sort().to_list()
    short, shown = units.filter("suppressed"), units.filter(~pl.col("suppressed"))
    return Coverage(
        read=int(counted["rows"].sum()),
        kept=int(kept["rows"].sum()),
        dropped=dict(left_out.sort("reason").iter_rows()),
        kinds=dict(kept.select(pl.col("kind").fill_null("unknown"), "rows").iter_rows()),
        first=shown["first"].min().isoformat(),  # type: ignore[union-attr]
        last=shown["last"].max().isoformat(),  # type: ignore[union-attr]
        missing_months=[m for m in units_between(there[0], there[-1]) if m not in there],
        suppressed=[
            f"{month} ({period})" if split else month
            for month, period, split in short.select(by, "period", "holds_cut").iter_rows()
        ],
        authors=authors,
        posts_without_author=int(periods["without_author"].sum()),
        unfinished=unfinished,
    )
