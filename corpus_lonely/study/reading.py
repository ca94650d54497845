"""What a study reads: two passes over the scores, a piece at a time, so that memory does not grow with rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Protocol

import polars as pl

from corpus_lonely.errors import InputError, SettingsError, first_line
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.study import aggregate, gold
from corpus_lonely.study.apart import People
from corpus_lonely.study.effects import with_suppressed
from corpus_lonely.study.joined import Lookup, look_up
from corpus_lonely.study.mix import MIXED, Mix, mix_table
from corpus_lonely.study.panel import MOST_STRATA, OTHERS
from corpus_lonely.study.periods import AFTER, BEFORE
from corpus_lonely.study.pieces import frames, rows_of
from corpus_lonely.study.running import (
    MOST_BY_PERIOD,
    SPLITS,
    Authors,
    Months,
    RunningSums,
)
from corpus_lonely.study.scores import scan_posts, scan_scores, taxonomy_of
from corpus_lonely.study.selection import Selection, check, columns_read, counted_rows
from corpus_lonely.study.usable_rows import MOST_CLUSTERS, usable
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
    @property
    def posts(self) -> str | None: ...
    @property
    def group(self) -> str | None: ...
    @property
    def by(self) -> str: ...


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
    labelled: gold.Labelled | None


def read_sums(settings: Asked, progress: Progress | None = None) -> Sums:
    """Raises InputError for scores that cannot be used, SettingsError for a cut outside them."""
    reader = _Reader(settings, progress or Silent())
    labels = gold.read_labelled(settings.gold, reader.taxonomy) if settings.gold else None
    reader.check(with_ids=labels is not None)
    found = Months(reader.taxonomy, settings.by, reader.splits)
    for _, rows in reader.pieces(reader.selection):
        found.add(rows)
    units = _checked_units(found, settings)
    short = units.filter("suppressed").select(settings.by, "period")
    known, lone = found.people(units)
    selection = replace(
        reader.selection,
        suppressed=tuple(short.iter_rows()),
        dealt=known + lone > MOST_CLUSTERS,
    )
    second = _Second(settings, selection, found, min(1.0, MOST_AUTHORS / max(1, known)), labels)
    for piece, rows in reader.pieces(selection):
        second.add(piece, rows)
    reader.progress.finish()
    return second.sums(units)


class _Reader:
    """The scores, with columns of posts where those are asked for."""

    def __init__(self, settings: Asked, progress: Progress) -> None:
        self._settings, self.progress = settings, progress
        self._frame, self.taxonomy = scan_scores(settings.scores), taxonomy_of(settings.scores)
        self.selection = Selection(
            self.taxonomy, settings.cut, settings.kind, settings.threshold,
            pre=settings.pre, post=settings.post,
            stratum=settings.standardise, where=tuple(settings.where),
            group=settings.group, by=settings.by,
        )  # fmt: skip
        self._lacks = self._lacking()
        self._posts: Lookup | None = None

    def _lacking(self) -> list[str]:
        """Columns asked for that only posts can give."""
        if self._settings.posts is None:
            return []
        asked = [name for name, _ in self.selection.where]
        asked += filter(None, (self.selection.group, self.selection.stratum))
        there = self._frame.collect_schema()
        return [name for name in dict.fromkeys(asked) if name not in there]

    @property
    def splits(self) -> list[str]:
        """Columns that split rows, of those that there are or are asked for."""
        asked = self.selection
        there = "subreddit" in self._frame.collect_schema()
        wanted = {"stratum": asked.stratum, "group": asked.group, "subreddit": there}
        return [name for name in SPLITS if wanted[name]]

    def check(self, *, with_ids: bool) -> None:
        """Before anything long is read."""
        where = self._settings.scores
        told = self._frame.with_columns(pl.lit(None, pl.String).alias(name) for name in self._lacks)
        check(told, self.selection, where)
        names = self._frame.collect_schema().names()
        for needed, option in ((with_ids, "--gold"), (bool(self._lacks), "--posts")):
            if needed and "post_id" not in names:
                raise InputError(
                    f"has no column 'post_id', which {option} is joined by", where=where
                )
        if self._lacks and self._settings.posts is not None:
            asked = self.selection
            groups = filter(None, (asked.group, asked.stratum))
            self._posts = look_up(self._settings.posts, self._lacks, asked.where, set(groups))
        elif (
            self._settings.posts is not None
        ):  # not needed, but a wrong path is a mistake all the same
            scan_posts(self._settings.posts)
        self.progress.start("Reading scores, twice", 2 * rows_of(where), "rows")

    def pieces(self, selection: Selection) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """All rows and those that are usable, a piece at a time."""
        where = self._settings.scores
        columns = columns_read(self._frame, selection)
        try:
            for frame in frames(where, self._frame, columns):
                piece = frame.collect()
                piece = piece if self._posts is None else self._posts.joined(piece)
                rows = usable(piece.lazy(), selection, where, carried=("post_id",))
                yield piece, rows.collect()
                self.progress.advance(len(piece))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(f"cannot be read ({first_line(error)})", where=where) from error


def _checked_units(found: Months, settings: Asked) -> pl.DataFrame:
    table = found.table()
    _check_cut(table, settings)
    units = with_suppressed(table, settings.min_authors, settings.by)
    _check_authors(units, settings)
    return units


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
        _check_windows(periods, self._settings)
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
            + (" and fits --where" if settings.where else "")
            + (" and has its post in --posts" if settings.posts else ""),
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
    for period in (BEFORE, AFTER):
        if months.filter(pl.col("period") == period)["suppressed"].all():
            raise InputError(
                f"has {period} {settings.cut} only {settings.by}s with fewer than --min-authors "
                f"{settings.min_authors} {unit}",
                where=settings.scores,
                hint="Choose another --cut, or score more posts",
            )


def _check_windows(periods: pl.DataFrame, settings: Asked) -> None:
    for period, name in ((BEFORE, "pre"), (AFTER, "post")):
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
