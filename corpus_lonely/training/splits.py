"""What a run learns from and what it is judged by: the splits of the labels, checked against its settings."""

from dataclasses import replace

import numpy as np

from corpus_lonely.errors import LabelsError, SettingsError
from corpus_lonely.progress import Progress
from corpus_lonely.taxonomy import Taxonomy
from corpus_lonely.training.labels import LabelledPosts, check_targets, load_labels
from corpus_lonely.training.repeating import repeated
from corpus_lonely.training.settings import TrainSettings, check_only


def training_splits(
    settings: TrainSettings, taxonomy: Taxonomy, progress: Progress
) -> tuple[LabelledPosts, LabelledPosts]:
    """Train and dev; where there is no dev split, a share of train.

    Raises LabelsError or SettingsError when they cannot be trained on so.
    """
    splits = load_labels(settings.labels, taxonomy)
    if "train" not in splits:
        raise LabelsError(
            f"has no train split; it has {', '.join(splits)}",
            where=settings.labels,
            hint="Name it train_set or train",
        )
    check_only(settings, taxonomy)
    train, dev = splits["train"], splits.get("dev")
    if dev is None:
        rows = np.random.default_rng(settings.seed).permutation(len(train)).tolist()
        held_out = max(1, round(settings.dev_share * len(rows)))
        train, dev = train.take(rows[held_out:]), train.take(rows[:held_out])
        dev = replace(dev, held_out=True)
        progress.note(f"No dev split: {held_out} of {len(rows)} training posts are held out.")
    _check_splits(settings, train, dev)
    both = len(set(train.texts) & set(dev.texts))
    if both:
        progress.note(f"Warning: {both} texts of the dev split are in the train split too.")
    return train, dev


def _check_splits(settings: TrainSettings, train: LabelledPosts, dev: LabelledPosts) -> None:
    for name, posts in (("train", train), ("dev", dev)):
        check_targets(posts, f"{settings.labels} ({name})")
    if settings.norm == "batch":
        count = len(repeated(train, settings.repeat_rare, settings.seed))
        if count % settings.batch_size == 1:
            raise SettingsError(
                f"--batch-size must not leave a last batch of one post with --norm batch: there are "
                f"{count} posts, got {settings.batch_size}"
            )
