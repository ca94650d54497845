"""Tiny models and labelled sets that tests make for themselves."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np

from corpus_lonely.demo.encoder import make_encoder
from corpus_lonely.taxonomy import loneliness

LONELY_WORDS = ("alone", "lonely", "nobody", "isolated", "empty")
OTHER_WORDS = ("cake", "football", "garden", "music", "train")


def tiny_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Posts in FIG-Loneliness's layout; words tell lonely ones, and the context by its first label."""
    dice = np.random.default_rng(seed)
    rows = []
    for position in range(count):
        lonely = position % 2 == 0
        words = dice.choice(LONELY_WORDS if lonely else OTHER_WORDS, dice.integers(3, 30))
        row: dict[str, Any] = {
            "idx": position,
            "unique_id": f"tiny{seed}{position}",
            "text": " ".join(words),
            "lonely": [0, 1] if lonely else [1, 0],
        }
        for category in loneliness().categories:
            votes = [0] * len(category.labels)
            if lonely:
                for vote in dice.integers(0, 2, 3):
                    votes[vote] += 1
            row[category.column] = votes
        rows.append(row)
    return rows


def save_rows(rows: list[dict[str, Any]], folder: Path) -> Path:
    """Writes rows as `save_to_disk` does."""
    datasets.Dataset.from_list(rows).save_to_disk(str(folder))
    return folder


def make_labels(folder: Path, train: int = 48, dev: int = 16) -> Path:
    """A labelled set of two splits."""
    save_rows(tiny_rows(train), folder / "train_set")
    save_rows(tiny_rows(dev, seed=1), folder / "dev_set")
    return folder


def make_tiny_encoder(folder: Path) -> Path:
    """An encoder of two narrow layers that knows the words of `tiny_rows`."""
    texts = [" ".join(LONELY_WORDS + OTHER_WORDS)] * 5
    return make_encoder(texts, folder, hidden=32, layers=2)
