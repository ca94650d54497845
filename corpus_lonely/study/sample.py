"""A sample of posts to be labelled by people: stratified by period, score and columns asked for, with the weights that undo it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from corpus_lonely.errors import InputError, OutputError, SettingsError, first_line
from corpus_lonely.files import atomic_path, open_private
from corpus_lonely.study.allocation import FEWEST_DRAWN, drawn_of_each, pooled
from corpus_lonely.study.joined import check_ids_join, look_up
from corpus_lonely.study.scores import (
    files_of,
    scan_posts,
    scan_scores,
    taxonomy_of,
)
from corpus_lonely.study.selection import Selection
from corpus_lonely.study.settings import PRIVATE
from corpus_lonely.study.usable_rows import as_text, usable
from corpus_lonely.study.wholeness import check_inside, check_parts_stand, check_seals, outside
from corpus_lonely.taxonomy import Taxonomy

EDGES = (0.1, 0.5, 0.9)
"""P(lonely) at which strata meet: where a classifier is sure, few labels tell enough."""
_BY = "by:"
"""Before the name of a column, whose values go on under another name than that of scores."""


@dataclass(frozen=True)
class SampleSettings:
    """What `corpus-lonely sample` is asked."""

    scores: str
    posts: str
    """The posts that were scored; their text goes into the sample."""
    cut: date
    out: Path
    """A .parquet or .csv file."""
    size: int = 600
    kind: str = "both"
    pre: int | None = None
    post: int | None = None
    seed: int = 0
    overwrite: bool = False
    by: tuple[str, ...] = ()
    """Columns of the scores or of the posts, whose values make strata of their own."""

    def __post_init__(self) -> None:
        if self.size < 8:
            raise SettingsError(f"--size must be at least 8, got {self.size}")
        for name in self.by:
            if name.strip().lower() in PRIVATE:
                raise SettingsError(
                    f"--by must be no column of texts, people or posts, got {name!r}"
                )
        if self.out.suffix.lower() not in (".parquet", ".csv"):
            raise SettingsError(f"--out must end in .parquet or .csv, got {self.out}")


def draw_sample(settings: SampleSettings) -> pl.DataFrame:
    """Writes a file that its owner alone can read, and returns the rows drawn, text left out.

    Every stratum (period x P(lonely) in four ranges x values of the columns `by`, small ones pooled) gives as
    many posts, or all it has; `weight` is how many posts each stands for. Rows are in random order; `period` and `stratum` tell when and how a post was
    scored, so hide them from those who label. Raises InputError, OutputError.
    """
    if settings.out.exists() and not settings.overwrite:
        raise OutputError("exists already", where=settings.out, hint="Give --overwrite, or move it")
    taxonomy = taxonomy_of(settings.scores)
    check_ids_join(settings.scores, settings.posts, "--posts")
    drawn = _drawn(settings, taxonomy)
    texts = _texts(settings, drawn["post_id"].to_list())
    filled = drawn.join(texts, on="post_id", how="left", maintain_order="left")
    if filled["text"].null_count():
        raise InputError(
            f"does not hold {filled['text'].null_count()} of the {len(filled)} posts drawn",
            where=settings.posts,
            hint="--posts must be the posts that were scored",
        )
    blank = [pl.lit(None, pl.Float64).alias(taxonomy.root.name)]
    blank += [pl.lit(None, pl.String).alias(category.name) for category in taxonomy.categories]
    _write(filled.with_columns(blank), settings.out)
    return drawn


def _drawn(settings: SampleSettings, taxonomy: Taxonomy) -> pl.DataFrame:
    table = _strata(settings, taxonomy)
    if table["period"].n_unique() < 2:
        raise SettingsError(f"--cut must have posts before and after it, got {settings.cut}")
    if settings.by:
        table = _split(table, settings)
    return drawn_of_each(table.sort("stratum", "post_id"), settings.size, settings.seed)


def _strata(settings: SampleSettings, taxonomy: Taxonomy) -> pl.DataFrame:
    """Posts with `period` and `stratum`, and those of the columns `by` that scores have."""
    frame = scan_scores(settings.scores)
    there = frame.collect_schema().names()
    if "post_id" not in there:
        raise InputError("has no column 'post_id'", where=settings.scores)
    selection = Selection(
        taxonomy, settings.cut, settings.kind, pre=settings.pre, post=settings.post
    )
    split = [name for name in settings.by if name in there]
    frame = frame.with_columns(as_text(name).alias(_BY + name) for name in split)
    carried = ("post_id", *(_BY + name for name in split))
    lonely = pl.col(taxonomy.root.name)
    band = pl.coalesce(
        *(pl.when(lonely < edge).then(pl.lit(f"to {edge:g}")) for edge in EDGES), pl.lit("to 1")
    )
    check_parts_stand(settings.scores)
    check_seals(files_of(settings.scores))
    told = frame.select(outside(taxonomy)).collect(engine="streaming")
    check_inside(told, settings.scores)
    rows = usable(frame, selection, settings.scores, carried)
    return (
        rows.filter(pl.col("inside"))
        .select(
            *(name for name in ("post_id", "subreddit") if name in there),
            "period",
            pl.format("{} {}", "period", band).alias("stratum"),
            *carried[1:],
        )
        .collect(engine="streaming")
    )


def _split(table: pl.DataFrame, settings: SampleSettings) -> pl.DataFrame:
    """Each stratum by the values of the columns `by`, those that scores lack from the posts."""
    lacks = [name for name in dict.fromkeys(settings.by) if _BY + name not in table.columns]
    named = table
    if lacks:
        found = look_up(settings.posts, lacks, (), lacks).joined(table.select("post_id"))
        named = table.with_columns(
            found[name].fill_null("unknown").alias(_BY + name) for name in lacks
        )
    values = pl.concat_str(*(_BY + name for name in dict.fromkeys(settings.by)), separator=", ")
    every = named.with_columns(values.alias("value"))
    told = pooled(every, settings.size)
    if told["value"].n_unique() == 1 < every["value"].n_unique():
        raise SettingsError(
            f"--size must be at least {2 * FEWEST_DRAWN * told['stratum'].n_unique()} to draw by "
            f"{' and '.join(settings.by)}, got {settings.size}"
        )
    stratum = pl.concat_str("stratum", "value", separator=", ")
    return told.with_columns(stratum).select(n for n in table.columns if not n.startswith(_BY))


def _texts(settings: SampleSettings, ids: Sequence[str]) -> pl.DataFrame:
    wanted = scan_posts(settings.posts).filter(pl.col("post_id").is_in(list(ids)))
    try:
        return wanted.select("post_id", "text").collect(engine="streaming").unique("post_id")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"cannot be read ({first_line(error)})", where=settings.posts) from error


def _write(table: pl.DataFrame, path: Path) -> None:
    """Readable by its owner from the first byte on."""
    with atomic_path(path) as temporary, open_private(temporary, new=True) as file:
        if path.suffix.lower() == ".csv":
            table.write_csv(file)
        else:
            table.write_parquet(file, compression="zstd")
