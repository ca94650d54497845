"""The card of models that were joined: what each is and how good, whose mean a group is, what it is not for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus_lonely import __version__
from corpus_lonely.errors import CorpusLonelyError
from corpus_lonely.files import read_json
from corpus_lonely.model.ensemble import asked
from corpus_lonely.taxonomy import Taxonomy
from corpus_lonely.training.card import LIMITS, about_labels, front, licence, public

_SHOWN = ("head", "encoder", "output", "weighting", "seed")


def ensemble_card(
    models: Sequence[Path],
    prints: Sequence[str],
    learnt: Sequence[Sequence[str]],
    taxonomy: Taxonomy,
) -> str:
    """Markdown of a folder that joins several models, from what each one's `training.json` tells.

    prints: the models' fingerprints; learnt: the groups that each learnt.
    No path of this machine and no text of a post is in it.
    """
    records = [_record(model) for model in models]
    labels = list(dict.fromkeys(_told(record, "labels") for record in records))
    return f"""{front(labels)}
# The mean of {len(models)} models

Reads a post in English and gives, of each group of labels, the mean of the distributions that its models give: of those that learnt the group
with the fewest others beside it. Made with corpus-lonely {__version__}.

## What it was made of

{_members(models, prints, learnt, records)}

{_groups(learnt, taxonomy)}

- Labels: {", ".join(labels)}. {about_labels(labels)}
- Fingerprints of all models: `ensemble.json`. Their settings and courses of training are in their own folders, which are not part of this one.

## How good it is

Each model on the posts that also chose its checkpoint (dev, or held out of train), which flatters a little; the categories on truly lonely posts. Accuracy, and F1 of
{taxonomy.root.name}:

{_judged(learnt, records, taxonomy)}

The mean itself has not been judged here: `corpus-lonely evaluate --model THIS-FOLDER --labels LABELS --split dev` does it.

## What it is for, and what not

{LIMITS}
- {licence(labels)}
"""


def _record(model: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = read_json(model / "training.json")
    except (OSError, ValueError, CorpusLonelyError):
        return {}  # a model of another maker tells nothing
    return found


def _told(record: dict[str, Any], name: str) -> str:
    value = record.get("settings", {}).get(name)
    if value is None:
        return "softmax" if name == "output" and record else "unknown"
    return public(str(value))


def _members(
    models: Sequence[Path],
    prints: Sequence[str],
    learnt: Sequence[Sequence[str]],
    records: Sequence[dict[str, Any]],
) -> str:
    lines = [
        f"| model | folder | {' | '.join(_SHOWN)} | learnt | fingerprint |",
        f"| ---: | --- |{' --- |' * len(_SHOWN)} --- | --- |",
    ]
    for place, (model, print_, groups, record) in enumerate(
        zip(models, prints, learnt, records, strict=True)
    ):
        cells = [_told(record, name) for name in _SHOWN]
        lines.append(
            f"| {place + 1} | {model.resolve().name} | {' | '.join(cells)} | {', '.join(groups)} | {print_[:12]} |"
        )
    return "\n".join(lines)


def _groups(learnt: Sequence[Sequence[str]], taxonomy: Taxonomy) -> str:
    lines = []
    for group in taxonomy.slices:
        if any(group in groups for groups in learnt):
            places = ", ".join(str(place + 1) for place in asked(learnt, group))
            lines.append(f"- {group}: the mean of model {places}")
    return "\n".join(lines)


def _judged(
    learnt: Sequence[Sequence[str]], records: Sequence[dict[str, Any]], taxonomy: Taxonomy
) -> str:
    shown = [group for group in taxonomy.slices if any(group in groups for groups in learnt)]
    root = taxonomy.root.name
    heads = [*(["F1"] if root in shown else []), *shown]
    lines = [f"| model | {' | '.join(heads)} |", f"| ---: |{' ---: |' * len(heads)}"]
    for place, record in enumerate(records):
        dev = record.get("dev", {})
        values = [dev.get(group, {}).get("accuracy") for group in shown]
        if root in shown:
            values.insert(0, dev.get(root, {}).get("f1"))
        cells = ["" if value is None else f"{value:.4f}" for value in values]
        lines.append(f"| {place + 1} | {' | '.join(cells)} |")
    return "\n".join(lines)
