"""What a study reads: two passes over the scores, a piece at a time, so that memory does not grow with rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Protocol

import polars as pl

from corpus_lonely.errors import InputError, SettingsError, first_line
from corpus_lonely.study import aggregate, gold
from corpus_lonely.study.aggregate import Selection
from corpus_lonely.study.effects import with_suppressed
from corpus_lonely.study.panel import MOST_STRATA, OTHERS
from corpus_lonely.study.pieces import frames
from corpus_lonely.study.running import MOST_BY_PERIOD, Authors, Months, RunningSums
from corpus_lonely.study.scores import scan_scores, taxonomy_of
from corpus_lonely.taxonomy import Taxonomy

MOST_AUTHORS = 100_000
"""Kept apart for estimates within authors; of more, a random part is taken."""


class Asked(Protocol):
    """What of the settings decides what is read."""

    @property
    def scores(self) -> str: ...
    @property
    def cut(self) -> date: ...
    @property
    def kind(self) -> str: ...
    @property
    def threshold(self) -> float: ...
    @property
    def min_authors(self) -> int: ...
    @property
    def pre(self) -> int | None: ...
    @property
    def post(self) -> int | None: ...
    @property
    def standardise(self) -> str | None: ...
    @property
    def gold(self) -> Path | None: ...
    @property
    def where(self) -> tuple[tuple[str, str], ...]: ...


@dataclass(frozen=True)
class Sums:
    """All that a study needs of the scores; suppressed months are in `months` alone."""

    taxonomy: Taxonomy
    counted: pl.DataFrame
    """`aggregate.counted_rows`."""
    months: pl.DataFrame
    """`running.Months`, with `suppressed` and `holds_cut`."""
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
    authors: pl.DataFrame
    """`aggregate.author_sums` of `share_of_authors`."""
    share_of_authors: float
    labelled: gold.Labelled | None


def read_sums(settings: Asked) -> Sums:
    """Raises InputError for scores that cannot be used, SettingsError for a cut outside them."""
    frame, taxonomy = scan_scores(settings.scores), taxonomy_of(settings.scores)
    selection = Selection(
        taxonomy, settings.cut, settings.kind, settings.threshold,
        pre=settings.pre, post=settings.post,
        stratum=settings.standardise, where=tuple(settings.where),
    )  # fmt: skip
    labels = gold.read_labelled(settings.gold, taxonomy) if settings.gold else None
    aggregate.check(frame, selection, settings.scores)
    if labels is not None and "post_id" not in frame.collect_schema().names():
        raise InputError(
            "has no column 'post_id', which --gold is joined by", where=settings.scores
        )
    found = Months(taxonomy)
    for piece in _pieces(frame, selection, settings):
        found.add(_usable(piece, selection, settings))
    months = _checked_months(found, settings)
    short = months.filter("suppressed").select("month", "period")
    selection = replace(selection, suppressed=tuple(short.iter_rows()))
    known, lone = found.people(selection.suppressed)
    selection = replace(selection, dealt=known + lone > aggregate.MOST_CLUSTERS)
    second = _Second(settings, selection, found, min(1.0, MOST_AUTHORS / max(1, known)), labels)
    for piece in _pieces(frame, selection, settings):
        second.add(piece, _usable(piece, selection, settings))
    return second.sums(months)


def _checked_months(found: Months, settings: Asked) -> pl.DataFrame:
    table = found.table()
    _check_cut(table, settings)
    months = with_suppressed(table, settings.min_authors)
    _check_authors(months, settings)
    return months


def _pieces(frame: pl.LazyFrame, selection: Selection, settings: Asked) -> Iterator[pl.DataFrame]:
    columns = aggregate.columns_read(frame, selection)
    try:
        for piece in frames(settings.scores, frame, columns):
            yield piece.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = first_line(error)
        raise InputError(f"cannot be read ({reason})", where=settings.scores) from error


def _usable(piece: pl.DataFrame, selection: Selection, settings: Asked) -> pl.DataFrame:
    return aggregate.usable(
        piece.lazy(), selection, settings.scores, carried=("post_id",)
    ).collect()


class _Second:
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
            )
            if asked
        }
        self._large = first.largest_strata(MOST_STRATA)
        self._labelled: list[pl.DataFrame] = []

    def add(self, piece: pl.DataFrame, rows: pl.DataFrame) -> None:
        """piece: as read; rows: those of it that are usable."""
        lazy, taxonomy = rows.lazy(), self._taxonomy
        self._counted.add(aggregate.counted_rows(piece.lazy(), self._selection).collect())
        self._periods.add(aggregate.period_counts(lazy).collect())
        self._people.add(rows)
        self._authors.add(aggregate.author_sums(lazy, taxonomy, self._share).collect())
        self._clusters.add(aggregate.cluster_sums(lazy, taxonomy).collect())
        large = pl.col("stratum").is_in(self._large)
        pooled = lazy.with_columns(pl.when(large).then("stratum").otherwise(pl.lit(OTHERS)))
        for name, sums in self._apart.items():
            by = ("period", "inside", name)
            sums.add(aggregate.cluster_sums(pooled, taxonomy, by).collect())
        if self._labels is not None:
            wanted = pl.col("post_id").is_in(self._labels["post_id"].implode())
            self._labelled.append(
                rows.filter(wanted & pl.col("inside")).select(
                    "post_id", "period", *taxonomy.score_columns
                )
            )

    def sums(self, months: pl.DataFrame) -> Sums:
        """Of all pieces."""
        periods = self._people.joined(self._periods.table())
        _check_windows(periods, self._settings)
        apart = {name: sums.table() for name, sums in self._apart.items()}
        return Sums(
            self._taxonomy,
            self._counted.table(),
            months,
            self._people.total(),
            periods,
            aggregate.named_months(self._clusters.table()),
            apart.get("kind"),
            apart.get("stratum"),
            self._authors.table(),
            self._share,
            self._matched(),
        )

    def _matched(self) -> gold.Labelled | None:
        if self._labels is None:
            return None
        found, threshold = pl.concat(self._labelled), self._settings.threshold
        labelled = gold.matched(self._labels, found, self._taxonomy, threshold)
        _check_labelled(labelled, self._settings)
        return labelled


def _check_cut(months: pl.DataFrame, settings: Asked) -> None:
    if months.is_empty():
        raise InputError(
            "has no row with status ok and a date"
            + ("" if settings.kind == "both" else f" that is a {settings.kind}")
            + (" and fits --where" if settings.where else ""),
            where=settings.scores,
        )
    sides = set(months["period"])
    if len(sides) == 1:
        first, last = (months[end].dt.date().sort() for end in ("first", "last"))
        raise SettingsError(
            f"--cut must have posts before and after it, got {settings.cut}: all posts of "
            f"{settings.scores} lie {sides.pop()} it ({first[0]} to {last[-1]})"
        )


def _check_authors(months: pl.DataFrame, settings: Asked) -> None:
    unit = "authors" if months["authors"].sum() else "posts"
    for period in (aggregate.BEFORE, aggregate.AFTER):
        if months.filter(pl.col("period") == period)["suppressed"].all():
            raise InputError(
                f"has {period} {settings.cut} only months with fewer than --min-authors "
                f"{settings.min_authors} {unit}",
                where=settings.scores,
                hint="Choose another --cut, or score more posts",
            )


def _check_windows(periods: pl.DataFrame, settings: Asked) -> None:
    for period, name in ((aggregate.BEFORE, "pre"), (aggregate.AFTER, "post")):
        if periods.filter((pl.col("period") == period) & pl.col("inside")).is_empty():
            raise SettingsError(
                f"--{name} must reach posts {period} {settings.cut}, got {getattr(settings, name)}"
            )


def _check_labelled(labelled: gold.Labelled, settings: Asked) -> None:
    if labelled.rows.is_empty():
        raise InputError(
            f"holds no labelled post of the periods compared: of {labelled.read} rows "
            f"{labelled.blank} are not filled in, and {labelled.unknown} have no score there",
            where=settings.gold,
        )
