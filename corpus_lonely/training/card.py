"""The card of a trained model: what it was made of, how good it is, what it is not for; README.md of its folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus_lonely import __version__
from corpus_lonely.taxonomy import Taxonomy
from corpus_lonely.training.settings import TrainSettings

_PAPER = "https://arxiv.org/abs/2201.07423"
_FIG = "fig-loneliness"


def front(labels: Sequence[str]) -> str:
    """What model hubs read; the licence is known of FIG-Loneliness alone."""
    known = all(map(is_fig, labels))
    licence = (
        "cc-by-nc-4.0" if known else "other  # fill in: that of your labels and of the encoder"
    )
    return f"""---
language: en
license: {licence}
library_name: corpus-lonely
tags: [loneliness, mental-health, label-distribution-learning, text-classification]
---
"""


def is_fig(labels: str) -> bool:
    """Whether labels go by the name of FIG-Loneliness, as on the hub or as a folder; others have its layout only."""
    return _FIG in public(labels).lower().replace("_", "-")


def about_labels(labels: Sequence[str]) -> str:
    """Where they come from, as far as that is known."""
    if not all(map(is_fig, labels)):
        return "Where these labels come from, who gave them and how much they agreed is not known here: **fill in**."
    return (
        f"FIG-Loneliness ({_PAPER}) holds submissions to r/lonely, r/loneliness, r/youngadults and r/college, about "
        "half of them\nlonely, each lonely one judged by three raters, who agree little on duration (Fleiss' kappa "
        ".16), more on context (.52),\ninterpersonal (.42) and interaction (.59)."
    )


def licence(labels: Sequence[str]) -> str:
    """What a user may do with a model that was trained on them."""
    if not all(map(is_fig, labels)):
        return (
            "Licence: that of the labels, of the encoder, and of what the encoder learnt from: **fill in**, here and "
            "in the line\n  `license` above."
        )
    return (
        "Licence: FIG-Loneliness is CC BY-NC 4.0 and a model trained on it inherits that (no commercial use, name "
        "the source); the\n  licences of the encoder and of what it learnt from hold beside."
    )


LIMITS = """- For shares and means over many posts, in research. **It is no diagnosis of a person**: nobody should be treated, contacted or judged by it.
- The category columns are P(label | lonely). A share of all posts is the mean of P(lonely) x P(label | lonely).
- English only. Comments, other subreddits and other years are another domain: label some posts of your own and evaluate before you trust it there."""


def model_card(
    settings: TrainSettings,
    taxonomy: Taxonomy,
    sizes: dict[str, int],
    dev: dict[str, dict[str, float]],
    best_epoch: float,
    *,
    held_out: bool = False,
) -> str:
    """Markdown with the metadata that model hubs read.

    sizes: split to its number of posts.
    dev: the metrics of the checkpoint that was kept, group to metric to value.
    held_out: whether dev are posts of the train split, for want of one of its own.
    No path of this machine and no text of a post is in it.
    """
    return f"""{front([settings.labels])}
# {_title(settings)}

Reads a post in English and gives {_what(settings, taxonomy)}. Made with corpus-lonely {__version__}.

## What it was made of

- Encoder: {public(settings.encoder)}; head: {settings.head}, output: {settings.output}, weighting of the losses: {settings.weighting}, loss:
  {settings.loss if settings.output == "softmax" else "Fenchel-Young"}.{_adapted(settings.encoder)}
- Labels: {public(settings.labels)}, {sizes["train"]:,} posts to learn from and {sizes["dev"]:,} to choose the checkpoint by (epoch {best_epoch:.0f}
  was kept).{_repeated(settings)} {about_labels([settings.labels])}
- All settings, the versions and the course of training: `training.json`, `training.png`.

## How good it is

On {"posts of the train split that were held out" if held_out else "the dev split"}, which also chose the checkpoint{_fitted(settings)}, and so flatters a little. Categories are judged on truly lonely posts.

{metrics_table(dev, taxonomy)}

`corpus-lonely evaluate` adds guesses that read no text, and what no softmax can get below.

## What it is for, and what not

{LIMITS}
- Posts longer than {settings.max_tokens} tokens are cut{", in the middle" if settings.cut == "head-tail" else ""}.
- {licence([settings.labels])}
"""


def _adapted(encoder: str) -> str:
    """Of an encoder that `adapt` made: from which, and on what."""
    record = Path(encoder).expanduser() / "adaptation.json"
    try:
        told = json.loads(record.read_text("utf-8"))
        base, posts = told["settings"]["encoder"], told["train"]["posts"]
        inputs = ", ".join(map(public, told["settings"]["inputs"]))
        before, after = (told["perplexity"][name] for name in ("before", "after"))
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return (
        f" The encoder is {public(base)}, adapted to {posts:,}\n  unlabelled posts ({inputs}; perplexity of others "
        f"{before:.1f} before, {after:.1f} after), whose licence or terms hold as well."
    )


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


def metrics_table(dev: dict[str, dict[str, float]], taxonomy: Taxonomy) -> str:
    """A row a group that was learnt."""
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
