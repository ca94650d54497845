"""A batch of posts through the model on its device: padded, or laid end to end without padding."""

# B posts, T tokens, N tokens of all posts, X encoder hidden, L labels

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpus_lonely.inference.batching import pad
from corpus_lonely.inference.faults import device_failure, out_of_memory
from corpus_lonely.inference.products import Rounding, can_round, round_products
from corpus_lonely.model.attention import PACKED
from corpus_lonely.model.encoder import max_positions
from corpus_lonely.model.ensemble import Network

Ids = Sequence[NDArray[np.int32]]

_DTYPES = {"bf16": torch.bfloat16, "mixed": torch.bfloat16, "fp16": torch.float16}
_ROWS_MULTIPLE = 32
"""Products on a CPU's bfloat16 units are compiled for each number of rows, which takes longer than a product."""
_TRIAL_LENGTHS = (3, 31, 300, 8)
_TRIAL_TOLERANCE = 0.02
"""Relative to a post's representation: half precision is off by less, a leak between posts by more."""


class Forward:
    """The forward pass of one model on one device, in one precision."""

    def __init__(self, model: Network, device: torch.device, precision: str, pad_id: int) -> None:
        self.model: Network = model.train(mode=False)
        self.model.requires_grad_(requires_grad=False).to(device)
        self.device, self.precision, self.pad_id = device, precision, pad_id
        self.packed = False
        self._rounding: Rounding | None = None
        self._usual_attention: list[str] = [
            encoder.config._attn_implementation  # noqa: SLF001  (it has no public name)
            for encoder in model.encoders
        ]

    @torch.inference_mode()
    def __call__(self, ids: Ids) -> Tensor:
        """(B, L) float32 on the device, not waited for where the device works on its own."""
        return self._predict(self.represent(ids))

    @torch.inference_mode()
    def represent(self, ids: Ids) -> Tensor:
        """(B, X) float32: what the encoder makes of each post."""
        dtype = _DTYPES.get(self.precision)
        # the residuals, norms and the head stay in float32: autocast rounds what goes into products
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            return self._packed(ids) if self.packed else self._padded(ids)

    @torch.inference_mode()
    def exactly(self, ids: Ids) -> Tensor:
        """(B, L) in float32, whatever the precision."""
        self._attend(*self._usual_attention)
        try:
            with self._rounding.off() if self._rounding else nullcontext():
                return self._predict(self._padded(ids))
        finally:
            if self.packed:
                self._attend(*self._packed_attention)

    def _predict(self, pooled_BX: Tensor) -> Tensor:
        probabilities_BL: Tensor | None = self.model.predict(pooled_BX).probabilities
        assert probabilities_BL is not None  # noqa: S101  (narrows the type)
        return probabilities_BL.float()

    @property
    def _packed_attention(self) -> list[str]:
        return [PACKED] * len(self.model.encoders)

    def _attend(self, *implementations: str) -> None:
        """One an encoder."""
        for encoder, implementation in zip(self.model.encoders, implementations, strict=True):
            encoder.set_attn_implementation(implementation)

    def _padded(self, ids: Ids) -> Tensor:
        ids_BT, mask_BT = pad(ids, max(map(len, ids)), self.pad_id)
        return self.model.represent(self._send(ids_BT), self._send(mask_BT))

    def _packed(self, ids: Ids) -> Tensor:
        fill = -sum(map(len, ids)) % _ROWS_MULTIPLE if self._rounding else 0
        if fill:  # one post more, of which nothing is asked
            return self._end_to_end([*ids, np.resize(ids[0][:1], fill)])[:-1]
        return self._end_to_end(ids)

    def _end_to_end(self, ids: Ids) -> Tensor:
        lengths = [len(post) for post in ids]
        bounds_B = torch.from_numpy(np.cumsum([0, *lengths], dtype=np.int32))
        ids_N = torch.from_numpy(np.concatenate(ids).astype(np.int64))
        return self.model.represent_packed(self._send(ids_N), self._send(bounds_B), max(lengths))

    def _send(self, tensor: Tensor) -> Tensor:
        if self.device.type != "cuda":
            return tensor.to(self.device)
        # pinned, so that this thread goes on meanwhile; the copy waits its turn behind the batch before
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def round_products(self) -> bool:
        """Lays the weights out for a CPU's bfloat16 units, where it has them; returns whether it does."""
        half = self.device.type == "cpu" and _DTYPES.get(self.precision) == torch.bfloat16
        if half and self._rounding is None and can_round():
            self._rounding = round_products(self.model.encoders)
        return self._rounding is not None

    def pack(self) -> bool:
        """Packs from now on, if the encoder can: tries some posts both ways, and compares.

        Returns whether it does. An encoder with attention of its own kind cannot, nor a torch
        without the kernel; their batches are padded as before.
        """
        configs = [encoder.config for encoder in self.model.encoders]
        longest = min(self.model.config.max_tokens, *map(max_positions, configs))
        known = np.arange(min(config.vocab_size for config in configs), dtype=np.int32)
        # not the one of padding, from which some encoders count positions
        known = known[~np.isin(known, [self.pad_id, *(config.pad_token_id for config in configs)])]
        ids = [np.resize(known, min(length, longest)) for length in _TRIAL_LENGTHS]
        expected_BX = self.represent(ids)  # what fails here fails with every batch
        try:
            self._attend(*self._packed_attention)
            self.packed = True
            off_BX = self.represent(ids) - expected_BX
            worst = (off_BX.norm(dim=1) / expected_BX.norm(dim=1)).max()
            agrees = bool(worst < _TRIAL_TOLERANCE)  # false for NaN, too
        except (
            TypeError,
            ValueError,
            RuntimeError,
            ImportError,
            IndexError,
            AttributeError,
        ) as error:
            if out_of_memory(error) or device_failure(error):
                raise
            agrees = False
        if not agrees:
            self.packed = False
            self._attend(*self._usual_attention)
        return agrees
