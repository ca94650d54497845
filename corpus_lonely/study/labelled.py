"""A labelled sample: read, checked, and joined to the scores of its posts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from corpus_lonely.errors import InputError, first_line
from corpus_lonely.taxonomy import Taxonomy


@dataclass(frozen=True)
class Labelled:
    """The posts of a labelled sample that the study compares."""

    rows: pl.DataFrame
    """`period`, `weight`, `stratum`; `truth_…` and the scores, a column a score column: P(lonely), and
    the products with it; `above`: whether P(lonely) reaches the threshold."""
    read: int
    blank: int
    """Rows whose `lonely` nobody filled in."""
    unknown: int
    """Rows without a score in the periods compared."""
    categories: tuple[str, ...]
    """Those that are labelled."""
    left_out: float = 0.0
    """The part of the sample's weight in strata of which nobody labelled any post: no other stands for them."""

    def posts(self, period: str) -> int:
        """How many labelled posts the period has."""
        return int((self.rows["period"] == period).sum())


def read_labelled(path: Path, taxonomy: Taxonomy) -> pl.DataFrame:
    """`post_id`, `weight`, `stratum`, and `truth_…` of each score column; null where not filled in.

    path: Parquet or CSV, as `corpus-lonely sample` makes it, with `lonely` (0 to 1) and, of lonely posts, a
    label's name in each category's column. InputError names what does not fit.
    """
    table = _read(path)
    root = taxonomy.root.name
    for name in ("post_id", root):
        if name not in table.columns:
            raise InputError(
                f"has no column {name!r}; its columns are {', '.join(table.columns)}",
                where=path,
                hint="`corpus-lonely sample` makes a file to fill in",
            )
    scored = [name for name in taxonomy.score_columns[1:] if name in table.columns]
    if scored:  # the model would be taken for the truth
        raise InputError(
            f"holds scores, not labels: it has the column {scored[0]!r}",
            where=path,
            hint="--gold takes a file of `corpus-lonely sample`, filled in by people",
        )
    if table["post_id"].is_duplicated().any():
        raise InputError("holds a post_id twice", where=path)
    try:
        lonely = table[root].cast(pl.Float64)
    except pl.exceptions.PolarsError:
        raise InputError(f"column {root!r} must hold 1 or 0", where=path) from None
    if not lonely.drop_nulls().is_between(0, 1).all():
        raise InputError(f"column {root!r} must lie between 0 and 1", where=path)
    weight = table["weight"] if "weight" in table.columns else pl.Series([1.0] * len(table))
    if weight.null_count() or not (weight.cast(pl.Float64) > 0).all():
        raise InputError("column 'weight' must be above 0 in every row", where=path)
    stratum = table["stratum"] if "stratum" in table.columns else pl.Series(["all"] * len(table))
    return pl.DataFrame(
        {
            "post_id": table["post_id"].cast(pl.String),
            "weight": weight.cast(pl.Float64),
            "stratum": stratum.cast(pl.String).fill_null("all"),
            f"truth_{root}": lonely,
            **dict(_truths(table, lonely, taxonomy, path)),
        }
    )


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_csv(path) if path.suffix.lower() == ".csv" else pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"cannot be read ({first_line(error)})", where=path) from error


def _truths(
    table: pl.DataFrame, lonely: pl.Series, taxonomy: Taxonomy, path: Path
) -> Iterator[tuple[str, pl.Series]]:
    for category in taxonomy.categories:
        if category.name not in table.columns or table[category.name].is_null().all():
            continue
        told = table[category.name].cast(pl.String).str.strip_chars().str.to_lowercase()
        strange = set(told.drop_nulls()) - set(category.labels) - {""}
        if strange:
            raise InputError(
                f"column {category.name!r} holds a label that is none: {min(strange)!r}; the "
                f"labels are {', '.join(category.labels)}",
                where=path,
            )
        missing = ((lonely > 0) & ~told.is_in(category.labels).fill_null(False)).sum()
        if missing:
            raise InputError(
                f"column {category.name!r} is empty in {missing} rows that are lonely",
                where=path,
                hint="Fill in all of a column, or none",
            )
        for label, column in zip(category.labels, category.columns, strict=True):
            yield f"truth_{column}", lonely * (told == label).fill_null(False).cast(pl.Float64)


def matched(
    labelled: pl.DataFrame, scored: pl.DataFrame, taxonomy: Taxonomy, threshold: float
) -> Labelled:
    """Joined to `scored`: `post_id`, `period`, and the sums' columns of the posts compared.

    A post that is filled in stands for those of its stratum that are not, too: else strata that were not
    finished would count for less than they are.
    """
    root = taxonomy.root.name
    known = pl.col(f"truth_{root}").is_not_null()
    whole, filled_in = pl.col("weight"), pl.col("weight").filter(known)
    each = whole * whole.sum().over("stratum") / filled_in.sum().over("stratum")
    filled = labelled.with_columns(each.alias("weight")).filter(known)
    nobodys = labelled.filter(~known.any().over("stratum"))["weight"].to_numpy().sum()
    rows = filled.join(scored, on="post_id", how="inner", maintain_order="left")
    categories = tuple(
        category.name
        for category in taxonomy.categories
        if f"truth_{category.columns[0]}" in rows.columns
    )
    above = (pl.col(root) >= threshold).cast(pl.Float64).alias("above")
    return Labelled(
        rows.with_columns(above),
        read=len(labelled),
        blank=len(labelled) - len(filled),
        unknown=len(filled) - len(rows),
        categories=categories,
        left_out=float(nobodys / labelled["weight"].to_numpy().sum()) if nobodys else 0.0,
    )
