"""The model card: what a model was made of, how good it is, and what it is not for; README.md of its folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus_lonely import __version__
from corpus_lonely.taxonomy import Taxonomy
from corpus_lonely.training.settings import TrainSettings

_FRONT = """---
language: en
license: cc-by-nc-4.0
library_name: corpus-lonely
tags: [loneliness, mental-health, label-distribution-learning, text-classification]
---
"""
"""What model hubs read."""
_PAPER = "https://arxiv.org/abs/2201.07423"


def model_card(
    settings: TrainSettings,
    taxonomy: Taxonomy,
    sizes: dict[str, int],
    dev: dict[str, dict[str, float]],
    best_epoch: float,
) -> str:
    """Markdown with the metadata that model hubs read.

    sizes: split to its number of posts.
    dev: the metrics of the checkpoint that was kept, group to metric to value.
    No path of this machine and no text of a post is in it.
    """
    return f"""{_FRONT}
# {_title(settings)}

Reads a post in English and gives {_what(settings, taxonomy)}. Made with corpus-lonely {__version__}.

## What it was made of

- Encoder: {public(settings.encoder)}; head: {settings.head}, output: {settings.output}, weighting of the losses: {settings.weighting}, loss:
  {settings.loss if settings.output == "softmax" else "Fenchel-Young"}.
- Labels: {public(settings.labels)}, {sizes["train"]:,} posts to learn from and {sizes["dev"]:,} to choose the checkpoint by (epoch {best_epoch:.0f}
  was kept).{_repeated(settings)} FIG-Loneliness ({_PAPER}) holds submissions to r/lonely, r/loneliness, r/youngadults and r/college, about half of them
  lonely, each lonely one judged by three raters.
- All settings, the versions and the course of training: `training.json`, `training.png`.

## How good it is

On the dev split, which also chose the checkpoint{_fitted(settings)}, and so flatters a little. Categories are judged on truly lonely posts.

{_table(dev, taxonomy)}

`corpus-lonely evaluate` adds guesses that read no text, and what no softmax can get below. Raters themselves agree little on
duration (Fleiss' kappa .16), more on context (.52), interpersonal (.42) and interaction (.59).

## What it is for, and what not

- For shares and means over many posts, in research. **It is no diagnosis of a person**: nobody should be treated, contacted or judged by it.
- The category columns are P(label | lonely). A share of all posts is the mean of P(lonely) x P(label | lonely).
- English only. Comments, other subreddits and other years are another domain: label some posts of your own and evaluate before you trust it there.
- Posts longer than {settings.max_tokens} tokens are cut{", in the middle" if settings.cut == "head-tail" else ""}.
- Licence: FIG-Loneliness is CC BY-NC 4.0 and a model trained on it inherits that (no commercial use, name the source); the encoder's own licence
  holds beside. A model made of other labels has theirs: change the line `license` above.
"""


def ensemble_card(models: Sequence[Path]) -> str:
    """Markdown of a folder that joins several models: their own cards tell the rest."""
    names = "\n".join(f"- {model.resolve().name}" for model in models)
    return f"""{_FRONT}
# The mean of {len(models)} models

Gives a post the mean of the distributions that {len(models)} models give it. Made with corpus-lonely {__version__} of

{names}

What each was made of, how good it is, its limits and its licence are told by its own README.md; what holds for all of them holds here: for
shares and means over many posts, in research. **It is no diagnosis of a person.** `corpus-lonely evaluate` tells how good the mean is.
"""


def _title(settings: TrainSettings) -> str:
    head = "HDLN" if settings.head == "hdln" else "Encoder + MLP"
    return f"{head} on {public(settings.encoder)}"


def public(source: str) -> str:
    """A name as it may be told: of a path or an address the last part alone; a hub id whole."""
    is_hub_id = source.count("/") < 2 and not source.startswith((".", "~", "/"))
    if is_hub_id and "://" not in source and not Path(source).exists():
        return source
    return source.rstrip("/").rpartition("/")[2]


def public_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as a folder that is shared tells them: without paths of this machine."""
    told: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    for name in ("labels", "encoder", "dev"):
        if told.get(name):
            told[name] = public(told[name])
    for name in ("inputs", "exclude"):
        if name in told:
            told[name] = [public(source) for source in told[name]]
    return told


def _what(settings: TrainSettings, taxonomy: Taxonomy) -> str:
    groups = [group for group in taxonomy.groups if group.name in (settings.only or _all(taxonomy))]
    told = [f"{group.name} ({', '.join(group.labels)})".replace("_", " ") for group in groups]
    return "a distribution over each of: " + "; ".join(told)


def _fitted(settings: TrainSettings) -> str:
    temperatures = " and the temperatures" if settings.calibrate else ""
    return temperatures + (" and the thresholds" if settings.threshold else "")


def _repeated(settings: TrainSettings) -> str:
    """What a user of probabilities has to know: the model has met rare labels more often than they are."""
    if not settings.repeat_rare:
        return ""
    return f" Posts with labels below {settings.repeat_rare:.0%} were repeated: rare labels come out too likely."


def _all(taxonomy: Taxonomy) -> list[str]:
    return [group.name for group in taxonomy.groups]


def _table(dev: dict[str, dict[str, float]], taxonomy: Taxonomy) -> str:
    lines = [
        "| group | accuracy | F1 | cosine | intersection |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for group in _all(taxonomy):
        if group in dev:
            cells = [dev[group].get(name) for name in ("accuracy", "f1", "cosine", "intersection")]
            shown = [f"{value:.4f}" if value is not None else "" for value in cells]
            lines.append(f"| {' | '.join([group, *shown])} |")
    return "\n".join(lines)
