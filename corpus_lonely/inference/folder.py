"""What a model folder says of itself, read without torch: is it one of ours, and which."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from corpus_lonely.errors import ModelError
from corpus_lonely.files import files_sha256
from corpus_lonely.taxonomy import Taxonomy

NUMERICS_VERSION = 4
"""Raised whenever the same text, model and settings may get other scores than before."""
_TOKENIZER = ("tokenizer.json",)
_NEEDED = ("config.json", "model.safetensors", *_TOKENIZER)
# transformers rebuilds some tokenizers from these, whatever tokenizer.json says
_DECISIVE = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt")
TOKENIZER_FILES = (*_TOKENIZER, *_DECISIVE)
"""All that a tokenizer is opened from; some tokenizers have only some."""
_KINDS = ("corpus-lonely", "corpus-lonely-ensemble")


@dataclass(frozen=True)
class ModelFacts:
    """What planning needs to know of a model."""

    fingerprint: str
    """SHA-256 over config, weights and tokenizer, in hex: equal folders score alike."""
    tokenizer: str
    """SHA-256 over the tokenizer's files alone: equal tokenizers cut texts alike."""
    taxonomy: Taxonomy
    max_tokens: int
    """Tokens kept per post in training."""
    only: tuple[str, ...] = ()
    """The groups that it has learnt, where not all."""
    members: int = 1
    """Models whose mean it gives."""


def model_facts(folder: str | Path) -> ModelFacts:
    """Reads a model folder's files; ModelError in one line when it is none, or not one of ours."""
    folder = Path(folder)
    if not folder.exists():
        raise ModelError("does not exist", where=folder)
    for name in _NEEDED:
        if not (folder / name).is_file():
            raise ModelError(
                f"is no model folder: it has no {name}",
                where=folder,
                hint="`corpus-lonely train` makes one",
            )
    config = _config(folder)
    try:
        taxonomy = Taxonomy.from_dict(config["taxonomy"])
        return ModelFacts(
            fingerprint=_fingerprint(folder, _NEEDED),
            tokenizer=_fingerprint(folder, _TOKENIZER),
            taxonomy=taxonomy,
            max_tokens=int(config["max_tokens"]),
            only=tuple(config.get("only", ())),
            members=len(config.get("members", (None,))),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"its config.json is damaged ({error})", where=folder) from error


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"its config.json is no JSON ({error})", where=folder) from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in _KINDS:
        raise ModelError(
            f"is a model of type {kind!r}, not one that `corpus-lonely train` made",
            where=folder,
            hint="An encoder alone cannot score: train a model on it first",
        )
    found: dict[str, Any] = config
    return found


def _fingerprint(folder: Path, needed: Sequence[str]) -> str:
    names = [*needed, *(name for name in _DECISIVE if (folder / name).is_file())]
    paths = [folder / name for name in names]
    return _sha256(tuple((path, *_identity(path)) for path in paths))


def _identity(path: Path) -> tuple[int, int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


@lru_cache(maxsize=8)
def _sha256(files: tuple[tuple[Path, int, int, int], ...]) -> str:
    # half a second for a BERT, so once a process while nobody changes the files
    return files_sha256([path for path, *_ in files])
