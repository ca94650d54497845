"""What `torchrun` starts in test_processes.py: an undisturbed run, then a broken one that goes on."""

import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from corpus_lonely.training.adaptation.callback import AdaptationCallback
from corpus_lonely.training.adaptation.run import adapt_encoder
from tests.training.adaptation.made import settings

posts, encoder, out = map(Path, sys.argv[1:])
Accelerator.end_training = lambda _self: None  # one group of processes for all runs
adapt_encoder(settings(posts, encoder, out / "whole"))
step_end = AdaptationCallback.on_step_end


def interrupt(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
    """Ends the run within its second epoch."""
    if state.global_step == 11:
        raise KeyboardInterrupt
    step_end(self, args, state, control, **kwargs)


AdaptationCallback.on_step_end = interrupt  # type: ignore[method-assign]
try:
    adapt_encoder(settings(posts, encoder, out / "broken"))
except KeyboardInterrupt:
    torch.distributed.barrier()
AdaptationCallback.on_step_end = step_end  # type: ignore[method-assign]
adapt_encoder(settings(posts, encoder, out / "broken"))
