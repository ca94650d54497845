"""What a model or an encoder is, as lines for people."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus_lonely.errors import InputError
from corpus_lonely.files import read_json

_RECORDS = ("training.json", "ensemble.json", "adaptation.json")


def model_told(folder: Path) -> dict[str, Any]:
    """What a model folder says of itself; ModelError when it is none, or damaged."""
    from corpus_lonely.inference.folder import model_facts

    facts, record = model_facts(folder), _record(folder)
    return {
        "kind": "model",
        "folder": str(folder),
        "fingerprint": facts.fingerprint,
        "taxonomy": facts.taxonomy.name,
        "members": facts.members,
        "learnt": list(facts.only) or "all",
        "max_tokens": facts.max_tokens,
        **{key: record[key] for key in ("settings", "epochs", "best_epoch", "score") if key in record},
        "versions": record.get("versions", {}),
    }  # fmt: skip


def encoder_told(folder: Path) -> dict[str, Any]:
    """What an adapted encoder says of itself."""
    record = _record(folder)
    wanted = ("settings", "posts", "steps", "perplexity", "versions")
    return {
        "kind": "encoder",
        "folder": str(folder),
        **{key: record[key] for key in wanted if key in record},
    }


def lines(told: dict[str, Any]) -> Iterator[str]:
    """A line a fact; what is within a fact stands on the same line."""
    for key, value in told.items():
        yield f"{key.replace('_', ' '):<12} {_short(value)}"
    if told["kind"] == "encoder":
        folder = told["folder"]
        yield f"Next: corpus-lonely train --labels LABELS --encoder {folder} --out model/"
    else:
        yield f"Next: corpus-lonely score --input posts/ --model {told['folder']} --out scores/"


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _record(folder: Path) -> dict[str, Any]:
    for name in _RECORDS:
        if (folder / name).exists():
            content = read_json(folder / name)
            if not isinstance(content, dict):
                raise InputError("is damaged: it holds no JSON object", where=folder / name)
            return content
    return {}
