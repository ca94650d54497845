"""What a study found, as tables and as text."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from corpus_lonely.study.coverage import Coverage
from corpus_lonely.study.figures import worded
from corpus_lonely.study.labelled import Labelled
from corpus_lonely.study.series import Placebo
from corpus_lonely.taxonomy import Taxonomy


@dataclass(frozen=True)
class StudyReport:
    """What `run_study` returns, and has written to `out`."""

    out: Path
    cut: date
    """Midnight UTC of this day begins the period after."""
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
    where: tuple[tuple[str, str], ...] = ()
    """Columns with the values that posts had to have; several values of one column are alternatives."""
    share_of_authors: float = 1.0
    """The random part of the authors that estimates within authors stand on."""
    files: list[Path] = field(default_factory=list)

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
