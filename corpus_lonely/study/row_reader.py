"""The rows of a study a piece at a time, with columns of posts and marks where those are asked for."""

from collections.abc import Iterator

import polars as pl

from corpus_lonely.errors import InputError, SettingsError, first_line
from corpus_lonely.progress import Progress
from corpus_lonely.study.asked import Asked
from corpus_lonely.study.joined import Lookup, check_ids_join, look_up
from corpus_lonely.study.pieces import frames, rows_of
from corpus_lonely.study.running import SPLITS
from corpus_lonely.study.scores import scan_marks, scan_posts, scan_scores, taxonomy_of
from corpus_lonely.study.selection import Selection, check, columns_read
from corpus_lonely.study.usable_rows import usable
from corpus_lonely.study.wholeness import check_inside, check_parts_stand, check_seals, outside


class RowReader:
    """The scores, with columns of posts and marks where those are asked for."""

    def __init__(self, settings: Asked, progress: Progress) -> None:
        self._settings, self.progress = settings, progress
        self._frame, self.taxonomy = scan_scores(settings.scores), taxonomy_of(settings.scores)
        self.selection = Selection(
            self.taxonomy, settings.cut, settings.kind, settings.threshold,
            pre=settings.pre, post=settings.post,
            stratum=settings.standardise, where=tuple(settings.where),
            group=settings.group, by=settings.by,
        )  # fmt: skip
        self._in_marks, self._in_posts = self._lacking()
        self._lookups: list[Lookup] = []

    def _lacking(self) -> tuple[list[str], list[str]]:
        """Columns asked for that scores lack: those of marks, and those that only posts can give."""
        marks, posts = self._settings.marks, self._settings.posts
        marked = [] if marks is None else scan_marks(marks).collect_schema().names()
        asked = [name for name, _ in self.selection.where]
        asked += filter(None, (self.selection.group, self.selection.stratum))
        there = self._frame.collect_schema()
        lacks = [name for name in dict.fromkeys(asked) if name not in there]
        if marks is not None and not {*asked} & {*marked}:
            raise SettingsError(
                "--marks changes nothing unless one of its columns is asked for: give "
                "--where near_duplicate=false, --where language=en, or --group language"
            )
        others = [name for name in lacks if name not in marked]
        return [name for name in lacks if name in marked], others if posts is not None else []

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
        lacks = [*self._in_marks, *self._in_posts]
        told = self._frame.with_columns(pl.lit(None, pl.String).alias(name) for name in lacks)
        check(told, self.selection, where)
        names = self._frame.collect_schema().names()
        joined = ((with_ids, "--gold"), (self._in_posts, "--posts"), (self._in_marks, "--marks"))
        for needed, option in joined:
            if needed and "post_id" not in names:
                raise InputError(
                    f"has no column 'post_id', which {option} is joined by", where=where
                )
        asked = self.selection
        groups = {*filter(None, (asked.group, asked.stratum))}
        for option, place, columns, scan in (
            ("--posts", self._settings.posts, self._in_posts, scan_posts),
            ("--marks", self._settings.marks, self._in_marks, scan_marks),
        ):
            if place is not None and columns:
                check_ids_join(where, place, option)
                self._lookups.append(look_up(place, columns, asked.where, groups, scan))
            elif place is not None:  # not needed, but a wrong path is a mistake all the same
                scan(place)
        check_parts_stand(where)
        self.progress.start("Reading scores, twice", 2 * rows_of(where), "rows")

    def pieces(
        self, selection: Selection, *, checked: bool = False
    ) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """All rows and those that are usable, a piece at a time.

        checked: they were read before, and need no check against damage any more.
        """
        where = self._settings.scores
        columns = columns_read(self._frame, selection)
        try:
            for frame in frames(where, self._frame, columns, None if checked else check_seals):
                piece = frame.collect()
                if not checked:
                    check_inside(piece.select(outside(self.taxonomy)), where)
                for lookup in self._lookups:
                    piece = lookup.joined(piece)
                rows = usable(piece.lazy(), selection, where, carried=("post_id",))
                yield piece, rows.collect()
                self.progress.advance(len(piece))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(f"cannot be read ({first_line(error)})", where=where) from error
