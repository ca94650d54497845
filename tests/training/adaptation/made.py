"""Made-up posts without labels, and settings of runs that take seconds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus_lonely.progress import Silent
from corpus_lonely.training.adaptation.settings import AdaptSettings
from tests.tiny import LONELY_WORDS, OTHER_WORDS


class Notes(Silent):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


def made_texts(count: int, seed: int = 0, longest: int = 30) -> list[str]:
    """Texts that all differ, half of them of one theme and half of the other."""
    dice = np.random.default_rng(seed)
    texts: dict[str, None] = {}
    while len(texts) < count:
        words = LONELY_WORDS if len(texts) % 2 else OTHER_WORDS
        texts[" ".join(dice.choice(words, dice.integers(5, longest)))] = None
    return list(texts)


def write_posts(path: Path, texts: list[str], **columns: list[Any]) -> Path:
    """A Parquet file like one of posts/."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = [f"t3_{number:x}" for number in range(len(texts))]
    pl.DataFrame({"post_id": ids, "text": texts, **columns}).write_parquet(path)
    return path


def settings(posts: Path, encoder: Path, out: Path, **other: Any) -> AdaptSettings:
    """Two epochs on one thread."""
    defaults: dict[str, Any] = {
        "epochs": 2, "max_tokens": 64, "learning_rate": 1e-3, "precision": "fp32", "threads": 1,
        "held_out": 0.1, "device": "cpu",
    }  # fmt: skip
    return AdaptSettings((str(posts),), str(encoder), out, **{**defaults, **other})


def record(out: Path) -> dict[str, Any]:
    """What a run left in adaptation.json."""
    found: dict[str, Any] = json.loads((out / "adaptation.json").read_text())
    return found


def without_dropout(encoder: Path) -> Path:
    """Sets the encoder's dropout to 0, so that two ways of the same sum can be compared."""
    path = encoder / "config.json"
    config = json.loads(path.read_text())
    config.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    path.write_text(json.dumps(config))
    return encoder
