"""The model card of an adapted encoder: what it was made from, and what it is not for."""

from pathlib import Path
from typing import Any

from corpus_lonely.model.encoder import MINILM
from corpus_lonely.training.card import public

_SHOWN = (
    "epochs", "batch_size", "learning_rate", "weight_decay", "warmup", "mask_probability",
    "whole_word_masking", "max_tokens", "attention_dropout", "head_only", "seed",
)  # fmt: skip


def model_card(record: dict[str, Any], base: str) -> str:
    """A README.md from what `adaptation.json` tells; it names no path of this machine and holds no text.

    base: the encoder as it was named: a folder, a hub id or `minilm`.
    """
    settings, perplexity = record["settings"], record["perplexity"]
    encoder, source = _base(base)
    counts = "\n".join(
        f"| {name.replace('_', ' ')} | {count:,} |" for name, count in record["posts"].items()
    )
    shown = "\n".join(f"| {name.replace('_', ' ')} | {settings[name]} |" for name in _SHOWN)
    inputs = ", ".join(map(public, settings["inputs"]))
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return f"""---
license: other  # fill in: that of the encoder and of the posts
library_name: transformers
pipeline_tag: fill-mask
{source}---

# {encoder}, adapted to posts

Made by `corpus-lonely adapt`: masked-language-model training on unlabelled posts from social media.
It goes on from **{encoder}**{" with a new masked-language-model head" if record["new_head"] else ""}. It is a start for training, as
`corpus-lonely train --encoder` takes it, and knows no labels.

| perplexity of masked tokens | |
|---|---:|
| before | {perplexity["before"]:.3f} |
| after | {perplexity["after"]:.3f} |

Measured on {record["held_out"]["posts"]:,} posts ({perplexity["masked_tokens"]:,} masked tokens) that it did not learn from.

| posts | |
|---|---:|
{counts}

From {inputs}. Learnt from {record["train"]["tokens"]:,} tokens in {record["train"]["pieces"]:,} pieces.

| setting | |
|---|---|
{shown}

Versions: {versions}. All settings and the course of training: `adaptation.json`, `adaptation.png`.

## Limits

- It is no tool of diagnosis: nobody should be treated, contacted or judged by what it says.
- It has read what people wrote about themselves and may repeat phrases of it. Think before you pass it on.
- Its licence is that of {encoder} and of the posts: what either forbids, it forbids.
"""


def _base(encoder: str) -> tuple[str, str]:
    """The name of the encoder it was made from, and the line of the header that links it, if it is on the hub."""
    if encoder == MINILM:
        return "all-MiniLM-L6-v2", "base_model: sentence-transformers/all-MiniLM-L6-v2\n"
    path = Path(encoder).expanduser()
    if path.exists():
        return path.resolve().name, ""
    return encoder, f"base_model: {encoder}\n"
