"""What an error of torch's says of the device: too little memory, or no use any more; read without torch."""

import re
from typing import TYPE_CHECKING

from corpus_lonely.errors import ScoringError

if TYPE_CHECKING:
    import torch

_NO_MEMORY = re.compile(r"out of memory|STATUS_ALLOC_FAILED|can't allocate memory", re.IGNORECASE)
"""As torch's allocators, the CUDA runtime and cuBLAS say it, each in an error of another kind."""
# What torch says once a device can compute nothing more for this process: every later call fails alike.
_BROKEN = re.compile(
    r"(CUDA|HIP|XPU|cuDNN|MIOpen) (?:driver )?error\b[:\s]*([\w ():_-]*)", re.IGNORECASE
)
_SERIOUS_KINDS = ("AcceleratorError", "DeferredCudaCallError")
_KEPT = 100


def out_of_memory(error: BaseException) -> bool:
    """Whether a device had too little memory for what was asked, and goes on with less."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return "OutOfMemoryError" in names or (
        isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error)))
    )


def device_failure(error: BaseException) -> str | None:
    """What has happened to the device, when only a new process can compute on it again; else None.

    Memory that ran out is no such thing: what was asked for is let go, and the device goes on.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    if out_of_memory(error) or not isinstance(error, RuntimeError):
        return None
    found = _BROKEN.search(str(error))
    if found:
        # the device's own words, which know no posts: up to the end of their line
        return f"{found[1]} error: {found[2].strip()[:_KEPT]}".rstrip(": ")
    if "device-side assert" in str(error):
        return "device-side assert"
    return next((name for name in _SERIOUS_KINDS if name in names), None)


def useless(error: RuntimeError, device: "torch.device") -> ScoringError | None:
    """What to tell of a device that cannot hold a model or compute with it; None where it is not to blame."""
    if out_of_memory(error):
        reason = "has too little memory left for the model"
    elif told := device_failure(error):
        reason = f"cannot compute with the model ({told})"
    else:
        return None
    hint = "--device cpu does without it; CUDA_VISIBLE_DEVICES chooses among several"
    if device.type == "cpu":
        hint = "Start fewer --workers, or end other programs"
    return ScoringError(reason, where=f"device {device}", hint=hint)
