"""A sample of posts to be labelled by people: stratified by period and score, with the weights that undo it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from corpus_lonely.errors import InputError, OutputError, SettingsError, first_line
from corpus_lonely.files import atomic_path, open_private
from corpus_lonely.study.scores import scan_posts, scan_scores, score_facts, taxonomy_of
from corpus_lonely.study.selection import Selection
from corpus_lonely.study.usable_rows import usable
from corpus_lonely.tables import author_key_of
from corpus_lonely.taxonomy import Taxonomy

EDGES = (0.1, 0.5, 0.9)
"""P(lonely) at which strata meet: where a classifier is sure, few labels tell enough."""


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

    def __post_init__(self) -> None:
        if self.size < 8:
            raise SettingsError(f"--size must be at least 8, got {self.size}")
        if self.out.suffix.lower() not in (".parquet", ".csv"):
            raise SettingsError(f"--out must end in .parquet or .csv, got {self.out}")


def draw_sample(settings: SampleSettings) -> pl.DataFrame:
    """Writes a file that its owner alone can read, and returns the rows drawn, text left out.

    Every stratum (period x P(lonely) in four ranges) gives as many posts, or all it has; `weight` is how
    many posts each stands for. Rows are in random order; `period` and `stratum` tell when and how a post was
    scored, so hide them from those who label. Raises InputError, OutputError.
    """
    if settings.out.exists() and not settings.overwrite:
        raise OutputError("exists already", where=settings.out, hint="Give --overwrite, or move it")
    taxonomy = taxonomy_of(settings.scores)
    _check_ids_join(settings)
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


def _check_ids_join(settings: SampleSettings) -> None:
    """InputError where ids are hashed, and with another key than those of the scores."""
    posts, scores = (score_facts(path) for path in (settings.posts, settings.scores))
    hashed = (posts.get("settings") or {}).get("hash_ids")
    keys = author_key_of(posts), author_key_of(scores)
    if hashed and None not in keys and keys[0] != keys[1]:
        raise InputError(
            f"has ids hashed with the key {keys[0]}, the scores with {keys[1]}",
            where=settings.posts,
            hint="--posts must be the posts that were scored",
        )


def _drawn(settings: SampleSettings, taxonomy: Taxonomy) -> pl.DataFrame:
    frame = scan_scores(settings.scores)
    there = frame.collect_schema().names()
    if "post_id" not in there:
        raise InputError("has no column 'post_id'", where=settings.scores)
    selection = Selection(
        taxonomy, settings.cut, settings.kind, pre=settings.pre, post=settings.post
    )
    rows = usable(frame, selection, settings.scores, carried=("post_id",))
    lonely = pl.col(taxonomy.root.name)
    band = pl.coalesce(
        *(pl.when(lonely < edge).then(pl.lit(f"to {edge:g}")) for edge in EDGES), pl.lit("to 1")
    )
    table = (
        rows.filter(pl.col("inside"))
        .select(
            *(name for name in ("post_id", "subreddit") if name in there),
            "period",
            pl.format("{} {}", "period", band).alias("stratum"),
        )
        .collect(engine="streaming")
    )
    if table["period"].n_unique() < 2:
        raise SettingsError(f"--cut must have posts before and after it, got {settings.cut}")
    return _allocated(table.sort("stratum", "post_id"), settings)


def _allocated(table: pl.DataFrame, settings: SampleSettings) -> pl.DataFrame:
    """As many of each stratum; what small strata cannot give is spread over the others."""
    there = dict(table.group_by("stratum").len().sort("stratum").iter_rows())
    asked = dict.fromkeys(there, 0)
    left = min(settings.size, len(table))
    while left > 0:
        open_ = [name for name in there if asked[name] < there[name]]
        share = max(1, left // len(open_))
        for name in open_:
            more = min(share, there[name] - asked[name], left)
            asked[name] += more
            left -= more
    parts = []
    for place, (name, wanted) in enumerate(asked.items()):
        if wanted:
            own = table.filter(pl.col("stratum") == name)
            seed = settings.seed + 1_000_003 * place
            weight = pl.lit(there[name] / wanted).alias("weight")
            parts.append(own.sample(wanted, seed=seed).with_columns(weight))
    return pl.concat(parts).sample(fraction=1, shuffle=True, seed=settings.seed)


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
