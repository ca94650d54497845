"""How many posts of each stratum are drawn, and how many each of them stands for."""

import polars as pl

from corpus_lonely.study.panel import OTHERS

FEWEST_DRAWN = 2
"""Of each stratum where values make more of them: of one post alone nobody can tell how the others differ from it."""


def pooled(table: pl.DataFrame, size: int) -> pl.DataFrame:
    """`value` with small ones pooled, so that of each `stratum` and value `FEWEST_DRAWN` posts can be drawn.

    The largest are kept. No stratum is left out: its posts would be stood for by nobody. Pooled is everything where
    `size` is too few for two values.
    """
    posts = table.group_by("value").len().sort("len", "value", descending=[True, False])
    strata: dict[str, set[str]] = {value: set() for value in posts["value"]}
    for value, stratum in table.select("value", "stratum").unique().iter_rows():
        strata[value].add(stratum)
    kept, count = set(strata), sum(map(len, strata.values()))
    rest: set[str] = set()
    for value in reversed(strata):  # from the smallest on
        if FEWEST_DRAWN * (count + len(rest)) <= size:
            break
        kept.remove(value)
        count -= len(strata[value])
        rest |= strata[value]
    told = pl.when(pl.col("value").is_in(list(kept))).then("value").otherwise(pl.lit(OTHERS))
    return table.with_columns(told.alias("value"))


def drawn_of_each(table: pl.DataFrame, size: int, seed: int) -> pl.DataFrame:
    """As many of each `stratum`, with `weight`; what small strata cannot give is spread over the others."""
    there = dict(table.group_by("stratum").len().sort("stratum").iter_rows())
    asked = dict.fromkeys(there, 0)
    left = min(size, len(table))
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
            weight = pl.lit(there[name] / wanted).alias("weight")
            parts.append(own.sample(wanted, seed=seed + 1_000_003 * place).with_columns(weight))
    return pl.concat(parts).sample(fraction=1, shuffle=True, seed=seed)
