"""Evaluates a model on a labelled split: the paper's metrics beside trivial baselines and floors."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus_lonely import metrics
from corpus_lonely.errors import LabelsError
from corpus_lonely.inference.engine import Engine, EngineSettings
from corpus_lonely.inference.folder import model_facts
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.training.calibration import Bin, calibration_error, reliability_of
from corpus_lonely.training.labels import LabelledPosts, check_targets, load_labels

Results = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Evaluation:
    """What a model scores on one split."""

    model: str
    """Fingerprint of the model."""
    split: str
    posts: int
    lonely_posts: int
    """The posts that the categories are judged on: truly lonely, whatever was predicted."""
    truncated: int
    """Posts longer than the model reads."""
    results: Results
    """Group to metric to value, as `metrics.evaluate` gives them, for the groups that were learnt."""
    baselines: dict[str, Results]
    """What guesses without any text score: `uniform`, `train mean`, `train mode`; of the root also `always lonely`."""
    reliability: dict[str, list[Bin]]
    """Of each group: the share of votes in ten bins of the probability that was given."""
    floors: Results
    """The best that any prediction without exact zeros could reach, for Clark and Canberra."""

    def to_dict(self) -> dict[str, Any]:
        """Plain content for JSON: a key a group, then what surrounds it."""
        return {
            **self.results,
            "baselines": self.baselines,
            "floors": self.floors,
            "calibration_error": {
                group: calibration_error(bins) for group, bins in self.reliability.items()
            },
            "reliability": {
                group: [asdict(entry) for entry in bins] for group, bins in self.reliability.items()
            },
            "split": self.split,
            "posts": self.posts,
            "lonely_posts": self.lonely_posts,
            "truncated": self.truncated,
            "model": self.model,
        }


def evaluate_model(
    model: str | Path,
    labels: str | Path,
    split: str = "dev",
    settings: EngineSettings | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Scores a labelled split with the code that scores corpora, and judges the distributions.

    labels: a folder or hub id as in training; a folder that holds the one split is enough.
    Raises LabelsError when the split is not there, ModelError when the model is none.
    """
    progress = progress or Silent()
    facts = model_facts(model)
    splits = load_labels(labels, facts.taxonomy)
    if split not in splits:
        raise LabelsError(f"has no {split} split; it has {', '.join(splits)}", where=labels)
    posts = splits[split]
    check_targets(posts, f"{labels} ({split})")
    engine = Engine.load(model, settings)
    progress.start(f"Scoring the {split} split", len(posts), "posts")
    scores = engine.score(posts.texts, progress=progress.advance)
    progress.finish()
    check_scored(scores.status, labels)
    train_means_L = _train_means(engine, posts)
    predicted_NL = scores.probabilities_NL.astype(np.float64)
    judged = metrics.evaluate(posts.targets, predicted_NL)
    learnt = list(engine.model.learnt)
    return Evaluation(
        model=facts.fingerprint,
        split=split,
        posts=len(posts),
        lonely_posts=int(posts.targets.group(facts.taxonomy.categories[0])[1].sum()),
        truncated=int(scores.truncated.sum()),
        results={group: judged[group] for group in learnt},
        reliability=reliability_of(posts.targets, predicted_NL, learnt),
        baselines=metrics.baselines(posts.targets, train_means_L),
        floors=metrics.floors(posts.targets),
    )


def check_scored(status: list[str], labels: str | Path) -> None:
    """LabelsError when a post of a split has no scores, so that means over it would be of fewer."""
    missing = sum(entry != "ok" for entry in status)
    if missing:
        raise LabelsError(
            f"has {missing} posts without text, or that cannot be scored", where=labels
        )


def _train_means(engine: Engine, posts: LabelledPosts) -> metrics.Array:
    kept = engine.model.config.label_means
    # a model of another maker may not carry them; the split's own mean is then a harder baseline
    return np.asarray(kept) if kept else metrics.mean_targets(posts.targets)
