"""Pieces with some tokens hidden, by the collator of Hugging Face, and batches of them."""

# B pieces, T tokens

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from transformers import DataCollatorForLanguageModeling
from transformers import PreTrainedTokenizerFast as Tokenizer

from corpus_lonely.inference.batching import pad, padded_length
from corpus_lonely.training.adaptation.sampler import Draw
from corpus_lonely.training.adaptation.tokens import Frame, Pieces

IGNORED = -100
"""The label of a token that is not to be guessed."""
Example = dict[str, NDArray[np.int32]]


@dataclass(frozen=True)
class Masking:
    """How tokens are hidden."""

    probability: float
    whole_words: bool
    seed: int


class MaskedPieces(Dataset[Example]):
    """Pieces between their special tokens, with masks that hang on seed, epoch and piece alone.

    So a run that goes on, other processes and other batches see the same masks, whatever was drawn before.
    """

    def __init__(self, pieces: Pieces, tokenizer: Tokenizer, masking: Masking) -> None:
        self.pieces = pieces
        self._frame = Frame.of(tokenizer)
        self._masking = masking
        # one hides whole words behind the mask token alone, the other follows BERT: 80 % hidden,
        # 10 % another token, 10 % as they are
        self._collator = DataCollatorForLanguageModeling(
            tokenizer,
            mlm_probability=masking.probability,
            whole_word_mask=masking.whole_words,
            mask_replace_prob=1.0 if masking.whole_words else 0.8,
            random_replace_prob=0.0 if masking.whole_words else 0.1,
        )
        # the unknown token is among them: there is nothing to guess
        self._special = np.array(sorted(tokenizer.all_special_ids))

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, draw: Draw) -> Example:
        """Ids, some of them hidden, and labels: the id where it is to be guessed, elsewhere IGNORED."""
        piece, epoch = draw
        stored_T = self.pieces.of(piece)
        ids_T = self._framed(np.where(stored_T < 0, ~stored_T, stored_T))
        special_T = np.isin(ids_T, self._special)
        offsets_T2 = self._offsets(stored_T < 0) if self._masking.whole_words else None
        seeds = np.random.SeedSequence((self._masking.seed, epoch, piece))
        self._collator.generator = torch.Generator().manual_seed(
            int(seeds.generate_state(1, np.uint64)[0])
        )
        hidden_1T, labels_1T = self._collator.torch_mask_tokens(
            torch.from_numpy(ids_T)[None],
            special_tokens_mask=torch.from_numpy(special_T)[None],
            offset_mapping=None if offsets_T2 is None else offsets_T2[None],
        )
        return {"input_ids": hidden_1T[0].int().numpy(), "labels": labels_1T[0].int().numpy()}

    def _framed(self, ids_T: NDArray[np.int32]) -> NDArray[np.int64]:
        parts = (self._frame.before, ids_T, self._frame.after)
        return np.concatenate([np.asarray(part, np.int64) for part in parts])

    def _offsets(self, goes_on_T: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Places of the tokens in a text, made up: the collator takes a gap for the end of a word.

        The real ones would not do: in `don't` there is no gap, and some tokenizers leave none between words.
        """
        before, after = (
            np.zeros(len(part), np.bool_) for part in (self._frame.before, self._frame.after)
        )
        new_T = ~np.concatenate([before, goes_on_T, after])
        starts_T = np.arange(len(new_T)) + np.cumsum(new_T)
        return np.stack([starts_T, starts_T + 1], axis=1)


@dataclass(frozen=True)
class Padder:
    """Examples to a padded batch."""

    pad_id: int
    max_tokens: int

    def __call__(self, examples: list[Example]) -> dict[str, Tensor]:
        """input_ids, attention_mask and labels, all (B, T) int64."""
        ids, labels = ([example[name] for example in examples] for name in ("input_ids", "labels"))
        padded = padded_length(max(map(len, ids)), self.max_tokens)
        ids_BT, mask_BT = pad(ids, padded, self.pad_id)
        labels_BT, _ = pad(labels, padded, IGNORED)
        return {"input_ids": ids_BT, "attention_mask": mask_BT, "labels": labels_BT}
