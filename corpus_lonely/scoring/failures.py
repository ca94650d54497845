"""What an error that nobody foresaw means for a shard and its worker, told without text of posts."""

import re
import traceback
from pathlib import Path

from corpus_lonely.inference.budget import out_of_memory

# What torch says once a device can compute nothing more for this process: every later call fails alike.
_BROKEN = re.compile(
    r"(CUDA|HIP|XPU|cuDNN|MIOpen) (?:driver )?error\b[:\s]*([\w ():_-]*)", re.IGNORECASE
)
_SERIOUS_KINDS = ("AcceleratorError", "DeferredCudaCallError")
_KEPT = 100


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


def without_text(error: BaseException) -> str:
    """An unforeseen error's kind and place; its message might quote a post."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
