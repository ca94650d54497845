"""The synthetic labelled set, in the layout of FIG-Loneliness: three splits, votes of three raters."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from corpus_lonely.demo.corpus import Author, draw_authors, draw_latent
from corpus_lonely.demo.language import Latent, compose
from corpus_lonely.demo.truth import DEFAULT_CUT, Planted, Shares, planted
from corpus_lonely.files import output_error
from corpus_lonely.tables import table_schema
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.text import join_post

SIZES: Mapping[str, int] = MappingProxyType({"train": 1200, "dev": 300, "test": 300})
"""Posts in each split."""
_CONFIDENCE = 12.0
"""How closely a rater keeps to a post's own shares: the concentration of the Beta drawn for each."""


def write_labels(
    folder: Path, seed: int, sizes: Mapping[str, int] = SIZES, cut: date = DEFAULT_CUT
) -> Path:
    """Writes `train_set`, `dev_set` and `test_set` under `folder`, as `save_to_disk` lays them out.

    Half of the posts are lonely, half are of the time after the cut, each by an author of its own.
    Returns `folder`; the same arguments write the same bytes.
    Raises OutputError when the place cannot be written.
    """
    rows = labelled_rows(seed, sum(sizes.values()), cut)
    for split, size in sizes.items():
        _save(folder / f"{split}_set", [next(rows) for _ in range(size)], f"demo-{split}-{seed}")
    return folder


def labelled_rows(seed: int, count: int, cut: date = DEFAULT_CUT) -> Iterator[dict[str, Any]]:
    """The rows of a labelled set: `schemas/labels.json`, all splits in one row after another."""
    rng = np.random.default_rng([seed, 2])
    truth = planted(cut)
    authors = draw_authors(rng, count)
    lonely = rng.permutation(np.arange(count) % 2 == 0)
    for index, author in enumerate(authors):
        yield _row(rng, truth, author, index, bool(lonely[index]))


def _row(
    rng: np.random.Generator, truth: Planted, author: Author, index: int, lonely: bool
) -> dict[str, Any]:
    after = bool(rng.random() < 0.5)
    latent = draw_latent(rng, truth, author, after, lonely)
    return {
        "idx": index,
        "unique_id": f"demo{index:04d}",
        "text": join_post(*compose(rng, latent, author.style, after)),
        "lonely": [int(not lonely), int(lonely)],
        **{
            category.column: votes(rng, latent, category.name, len(category.labels))
            for category in loneliness().categories
        },
    }


def votes(rng: np.random.Generator, latent: Latent, category: str, labels: int) -> list[int]:
    """The votes of three raters, on average the post's own shares; all zero where it is not lonely."""
    counted = [0] * labels
    if latent.lonely:
        for _ in range(loneliness().votes_per_post):
            counted[_vote(rng, latent.shares[category])] += 1
    return counted


def _vote(rng: np.random.Generator, shares: Shares) -> int:
    """One rater's vote: the first label, or the second as often as this rater sees it there."""
    second, first = (int(index) for index in np.argsort(shares)[-2:])
    if shares[second] == 0:
        return first
    seen = rng.beta(_CONFIDENCE * shares[second], _CONFIDENCE * shares[first])
    return second if rng.random() < seen else first


def _save(folder: Path, rows: list[dict[str, Any]], fingerprint: str) -> None:
    from datasets import (  # noqa: PLC0415  (takes a second to import)
        Dataset,
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    table = pa.Table.from_pylist(rows, schema=table_schema("labels").remove_metadata())
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        # a fingerprint of its own, for the library's is drawn anew each time
        Dataset(table, fingerprint=fingerprint).save_to_disk(str(folder))
    except OSError as error:
        raise output_error(error, folder) from error
    finally:
        if shown:
            enable_progress_bars()
