"""Posts through a forward pass, in batches under a token budget that shrinks when memory runs out."""

# B posts of a batch, L labels

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpus_lonely.inference.batching import Tokens, plan_batches
from corpus_lonely.inference.budget import SMALLEST_BATCH_TOKENS
from corpus_lonely.inference.faults import out_of_memory
from corpus_lonely.inference.forward import Ids

_IN_FLIGHT = 4
"""Batches given to a GPU and not waited for: enough that it never waits for us."""

Places = NDArray[np.int64]
Pass = Callable[[Ids], Tensor]


class Sweep:
    """Batches on one device, and the lesson of how much its memory holds."""

    def __init__(self, device: torch.device, batch_tokens: int) -> None:
        self.batch_tokens = batch_tokens
        """Padded tokens in a batch, now: halved each time that memory runs out."""
        self.halvings = 0
        """How often memory ran out."""
        self._asynchronous = device.type == "cuda"

    def __call__(
        self, forward: Pass, posts: Places, tokens: Tokens
    ) -> Iterator[tuple[Places, NDArray[np.float32]]]:
        """Pairs of posts and their (B, L) probabilities, a batch at a time.

        A GPU works some batches ahead of what is given out here, so it waits neither for the next
        batch to be made ready nor for the results of the last one to be put away.
        """
        flying: deque[tuple[Places, Tensor, torch.cuda.Event | None]] = deque()
        for planned in plan_batches(tokens.lengths[posts], self.batch_tokens):
            for batch, scored_BL in self._launch(forward, posts[planned], tokens):
                flying.append((batch, *self._fetch(scored_BL)))
                while len(flying) > (_IN_FLIGHT if self._asynchronous else 0):
                    yield _land(*flying.popleft())
        while flying:
            yield _land(*flying.popleft())

    def _fetch(self, scored_BL: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
        """Starts the way back to the CPU's memory, and the event that tells its end."""
        if not self._asynchronous:
            return scored_BL.cpu(), None
        landing_BL = torch.empty(scored_BL.shape, dtype=scored_BL.dtype, pin_memory=True)
        landing_BL.copy_(scored_BL, non_blocking=True)
        # whoever waits for it sleeps: the core is wanted for the next posts
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        # of its own device: the current one may be another, and its stream would be done at once
        event.record(torch.cuda.current_stream(scored_BL.device))
        return landing_BL, event

    def _launch(
        self, forward: Pass, posts: Places, tokens: Tokens
    ) -> Iterator[tuple[Places, Tensor]]:
        """The posts in one batch, or in several where memory is short."""
        padded = len(posts) * int(tokens.lengths[posts].max())
        if padded <= self.batch_tokens or len(posts) == 1:  # else planned before it was halved
            scored_BL = self._attempt(forward, [tokens.of(post) for post in posts])
            if scored_BL is not None:
                yield posts, scored_BL
                return
        middle = len(posts) // 2
        yield from self._launch(forward, posts[:middle], tokens)
        yield from self._launch(forward, posts[middle:], tokens)

    def _attempt(self, forward: Pass, ids: Ids) -> Tensor | None:
        """One batch; None where memory ran out, and the budget is half of what it was."""
        try:
            return forward(ids)
        except RuntimeError as error:
            if not out_of_memory(error) or len(ids) == 1:
                raise
        # outside the handler, so that the failed batch's tensors are let go before others are made
        if self._asynchronous:
            torch.cuda.empty_cache()
        self.batch_tokens = max(SMALLEST_BATCH_TOKENS, self.batch_tokens // 2)
        self.halvings += 1
        return None


def _land(
    batch: Places, scored_BL: Tensor, event: torch.cuda.Event | None
) -> tuple[Places, NDArray[np.float32]]:
    if event is not None:
        event.synchronize()
    return batch, scored_BL.numpy()
