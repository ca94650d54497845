"""The second pass over the scores: sums that could not be made before it was known which months are shown."""

from dataclasses import dataclass

import polars as pl

from corpus_lonely.study import aggregate
from corpus_lonely.study.apart import People
from corpus_lonely.study.asked import Asked
from corpus_lonely.study.enough import check_labelled, check_windows
from corpus_lonely.study.labelled import Labelled, matched
from corpus_lonely.study.mix import MIXED, Mix, mix_table
from corpus_lonely.study.panel import MOST_STRATA, OTHERS
from corpus_lonely.study.running import MOST_BY_PERIOD, SPLITS, Authors, Months, RunningSums
from corpus_lonely.study.selection import Selection, counted_rows
from corpus_lonely.taxonomy import Taxonomy


@dataclass(frozen=True)
class Sums:
    """All that a study needs of the scores; suppressed months are in `months` alone."""

    taxonomy: Taxonomy
    counted: pl.DataFrame
    """`selection.counted_rows`."""
    months: pl.DataFrame
    """`running.Months`, with `suppressed` and `holds_cut`."""
    weeks: pl.DataFrame | None
    """The same by week, where that is asked for; then months are made of whole weeks."""
    authors_known: int
    """Different ones."""
    periods: pl.DataFrame
    """`aggregate.period_counts`, with `authors`."""
    clusters: pl.DataFrame
    """`aggregate.cluster_sums` by month."""
    kinds: pl.DataFrame | None
    """The same by kind instead, where there are several."""
    strata: pl.DataFrame | None
    """The same by stratum instead, where one is asked for; small ones pooled."""
    groups: pl.DataFrame | None
    """The same by group instead, where one is asked for; small ones pooled."""
    people: dict[str, People]
    """How many people values of `kind` and of `group` have together."""
    mix: pl.DataFrame
    """`mix.mix_table`, of kinds and subreddits."""
    authors: pl.DataFrame
    """`aggregate.author_sums` of `share_of_authors`."""
    share_of_authors: float
    labelled: Labelled | None


class SecondPass:
    """The second pass: what could not be summed before it was known which months are shown, and how many people there are."""

    def __init__(
        self,
        settings: Asked,
        selection: Selection,
        first: Months,
        share: float,
        labels: pl.DataFrame | None,
    ) -> None:
        self._settings, self._selection = settings, selection
        self._taxonomy, self._share, self._labels = selection.taxonomy, share, labels
        self._counted = RunningSums("kind", "reason")
        self._periods = RunningSums("period", "inside")
        self._people = Authors(MOST_BY_PERIOD, "period", "inside")
        self._authors = RunningSums("author", "period")
        self._clusters = RunningSums("cluster", *aggregate.CLUSTER_CELLS)
        self._apart = {
            name: RunningSums("cluster", "period", "inside", name)
            for name, asked in (
                ("kind", len(first.kinds) > 1),
                ("stratum", selection.stratum is not None),
                ("group", selection.group is not None),
            )
            if asked
        }
        self._first = first
        self._large = {name: first.largest(name, MOST_STRATA) for name in first.splits}
        self._mixes = [Mix(name) for name in MIXED if name not in SPLITS or name in first.splits]
        self._people_of = {name: Mix(name) for name in self._apart if name != "stratum"}
        self._labelled: list[pl.DataFrame] = []

    def add(self, piece: pl.DataFrame, rows: pl.DataFrame) -> None:
        """piece: as read; rows: those of it that are usable."""
        lazy, taxonomy = rows.lazy(), self._taxonomy
        self._counted.add(counted_rows(piece.lazy(), self._selection).collect())
        self._periods.add(aggregate.period_counts(lazy).collect())
        self._people.add(rows)
        self._authors.add(aggregate.author_sums(lazy, taxonomy, self._share).collect())
        self._clusters.add(aggregate.cluster_sums(lazy, taxonomy).collect())
        pooled = rows.with_columns(
            pl.when(pl.col(name).is_in(large)).then(name).otherwise(pl.lit(OTHERS)).alias(name)
            for name, large in self._large.items()
        )
        for name, sums in self._apart.items():
            by = ("period", "inside", name)
            sums.add(aggregate.cluster_sums(pooled.lazy(), taxonomy, by).collect())
        compared = pooled.filter("inside")
        for mix in (*self._mixes, *self._people_of.values()):
            mix.add(compared)
        if self._labels is not None:
            wanted = pl.col("post_id").is_in(self._labels["post_id"].implode())
            self._labelled.append(
                rows.filter(wanted & pl.col("inside")).select(
                    "post_id", "period", *taxonomy.score_columns
                )
            )

    def sums(self, units: pl.DataFrame) -> Sums:
        """Of all pieces."""
        periods = self._people.joined(self._periods.table())
        check_windows(periods, self._settings)
        apart = {name: sums.table() for name, sums in self._apart.items()}
        return Sums(
            self._taxonomy,
            self._counted.table(),
            self._first.months(units),
            units if self._settings.by == "week" else None,
            self._people.total(),
            periods,
            aggregate.named_months(self._clusters.table()),
            apart.get("kind"),
            apart.get("stratum"),
            apart.get("group"),
            {name: mix.people for name, mix in self._people_of.items()},
            mix_table(self._mixes, self._settings.min_authors),
            self._authors.table(),
            self._share,
            self._matched(),
        )

    def _matched(self) -> Labelled | None:
        if self._labels is None:
            return None
        found, threshold = pl.concat(self._labelled), self._settings.threshold
        labelled = matched(self._labels, found, self._taxonomy, threshold)
        check_labelled(labelled, self._settings)
        return labelled
