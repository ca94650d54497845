"""What a study reads: two passes over the scores, a piece at a time, so that memory does not grow with rows."""

from dataclasses import replace

import polars as pl

from corpus_lonely.progress import Progress, Silent
from corpus_lonely.study.asked import Asked
from corpus_lonely.study.effects import with_suppressed
from corpus_lonely.study.enough import check_authors, check_cut
from corpus_lonely.study.labelled import read_labelled
from corpus_lonely.study.row_reader import RowReader
from corpus_lonely.study.running import Months
from corpus_lonely.study.second_pass import SecondPass, Sums
from corpus_lonely.study.usable_rows import MOST_CLUSTERS

MOST_AUTHORS = 100_000
"""Kept apart for estimates within authors; of more, a random part is taken."""


def read_sums(settings: Asked, progress: Progress | None = None) -> Sums:
    """Raises InputError for scores that cannot be used, SettingsError for a cut outside them."""
    reader = RowReader(settings, progress or Silent())
    labels = read_labelled(settings.gold, reader.taxonomy) if settings.gold else None
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
    second = SecondPass(settings, selection, found, min(1.0, MOST_AUTHORS / max(1, known)), labels)
    for piece, rows in reader.pieces(selection, checked=True):
        second.add(piece, rows)
    reader.progress.finish()
    return second.sums(units)


def _checked_units(found: Months, settings: Asked) -> pl.DataFrame:
    table = found.table()
    check_cut(table, settings)
    units = with_suppressed(table, settings.min_authors, settings.by)
    check_authors(units, settings)
    return units
