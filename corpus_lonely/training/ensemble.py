"""Joins trained models, such as those of several seeds, into one that gives the mean of what they give."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus_lonely import __version__
from corpus_lonely.errors import ModelError, SettingsError
from corpus_lonely.files import write_json
from corpus_lonely.inference.engine import open_network
from corpus_lonely.inference.folder import TOKENIZER_FILES, ModelFacts, model_facts
from corpus_lonely.model.encoder import quiet
from corpus_lonely.model.ensemble import EnsembleConfig, EnsembleModel
from corpus_lonely.model.network import LonelinessModel
from corpus_lonely.training.ensemble_card import ensemble_card
from corpus_lonely.training.run_folder import RunFolder

_RECORD = "ensemble.json"
_SHARED = ("taxonomy", "max_tokens", "cut")
"""What members cannot differ in: the same tokens go to all, and the labels mean the same."""


@dataclass(frozen=True)
class EnsembleReport:
    """What was made."""

    out: Path
    members: int
    already_there: bool = False


def make_ensemble(models: Sequence[Path], out: Path, overwrite: bool = False) -> EnsembleReport:
    """A model folder that gives the mean of `models`; scoring takes their time together.

    Each group is the mean of those that learnt it with the fewest others beside it: see `model.ensemble.asked`.

    Raises ModelError or SettingsError when they cannot be joined, OutputError when `out` holds something else.
    """
    facts = [model_facts(model) for model in models]
    _check_joined(models, facts)
    told = "".join(sorted(one.fingerprint for one in facts))
    fingerprint = hashlib.sha256(told.encode()).hexdigest()[:16]
    folder = RunFolder(out, "ensemble", _RECORD, "an ensemble of other models")
    if folder.finished(fingerprint, overwrite):
        return EnsembleReport(out, len(models), already_there=True)
    members, network = _joined(models)

    def write(draft: Path) -> None:
        with quiet():
            network.save_pretrained(str(draft))
        for name in TOKENIZER_FILES:
            if (models[0] / name).is_file():
                shutil.copyfile(models[0] / name, draft / name)
        prints = [one.fingerprint for one in facts]
        learnt = [list(member.learnt) for member in members]
        card = ensemble_card(models, prints, learnt, facts[0].taxonomy)
        (draft / "README.md").write_text(card, "utf-8")
        write_json(draft / _RECORD, _record(models, facts, fingerprint))

    folder.publish(write)
    return EnsembleReport(out, len(models))


def _check_joined(models: Sequence[Path], facts: Sequence[ModelFacts]) -> None:
    if len(models) < 2:
        raise SettingsError(f"--model must be given twice or more, got {len(models)}")
    prints = [one.fingerprint for one in facts]
    for place, (model, one) in enumerate(zip(models, facts, strict=True)):
        if one.members > 1:
            raise ModelError("is an ensemble itself", where=model, hint="Name its members instead")
        if one.fingerprint in prints[:place]:
            raise ModelError(
                "is the same model as another one of these",
                where=model,
                hint="Train with another --seed: a model and itself give nothing new",
            )
        if one.tokenizer != facts[0].tokenizer:
            raise ModelError(f"has another tokenizer than {models[0]}", where=model)


def _joined(models: Sequence[Path]) -> tuple[list[LonelinessModel], EnsembleModel]:
    members: list[LonelinessModel] = []
    for model in models:
        network = open_network(model)
        assert isinstance(network, LonelinessModel)  # noqa: S101  (an ensemble was refused)
        members.append(network)
    first = members[0].config
    for model, member in zip(models, members, strict=True):
        for name in _SHARED:
            mine, theirs = getattr(member.config, name), getattr(first, name)
            if mine != theirs:
                told = f" ({mine} and {theirs})" if name != "taxonomy" else ""
                raise ModelError(f"has another {name} than {models[0]}{told}", where=model)
    means = [member.config.label_means for member in members]
    config = EnsembleConfig(
        members=[member.config.to_dict() for member in members],
        label_means=np.mean(means, axis=0).tolist() if all(means) else None,
        only=_learnt(members),
        **{name: getattr(first, name) for name in _SHARED},
    )
    return members, EnsembleModel(config, members)


def _learnt(members: Sequence[LonelinessModel]) -> list[str]:
    """The groups that some member learnt; none named when these are all."""
    told = {name for member in members for name in member.learnt}
    groups = list(members[0].taxonomy.slices)
    return [] if told >= {*groups} else [name for name in groups if name in told]


def _record(
    models: Sequence[Path], facts: Sequence[ModelFacts], fingerprint: str
) -> dict[str, Any]:
    members = [
        {"name": model.resolve().name, "fingerprint": one.fingerprint}
        for model, one in zip(models, facts, strict=True)
    ]
    return {
        "fingerprint": fingerprint,
        "members": members,
        "versions": {"corpus_lonely": __version__},
    }
