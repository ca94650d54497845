"""Labelled posts as the Trainer reads them: token ids and targets, padded to a few lengths."""

# B posts, L labels

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerFast as Tokenizer

from corpus_lonely.inference.batching import pad, padded_length, tokenise
from corpus_lonely.model.network import LonelinessConfig
from corpus_lonely.training.labels import LabelledPosts

Example = dict[str, list[int] | list[float]]


class TokenisedPosts(Dataset[Example]):
    """Posts cut into tokens once, as the model's config says, with their targets."""

    def __init__(
        self, posts: LabelledPosts, tokenizer: Tokenizer, config: LonelinessConfig
    ) -> None:
        tokens = tokenise(tokenizer, posts.texts, config.max_tokens, config.cut)
        self._ids = [tokens.of(post).tolist() for post in range(len(posts.texts))]
        self._targets: list[list[float]] = posts.targets.values_NL.tolist()

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, row: int) -> Example:
        return {"input_ids": self._ids[row], "labels": self._targets[row]}


@dataclass(frozen=True)
class Collator:
    """Examples to a padded batch."""

    pad_id: int
    max_tokens: int

    def __call__(self, examples: list[dict[str, list[int]]]) -> dict[str, Tensor]:
        """input_ids and attention_mask (B, T), labels (B, L) float32."""
        ids = [example["input_ids"] for example in examples]
        padded = padded_length(max(map(len, ids)), self.max_tokens)
        ids_BT, mask_BT = pad(ids, padded, self.pad_id)
        labels_BL = torch.tensor([example["labels"] for example in examples], dtype=torch.float32)
        return {"input_ids": ids_BT, "attention_mask": mask_BT, "labels": labels_BL}
