"""An error that nobody foresaw, told without text of posts."""

import traceback
from pathlib import Path


def without_text(error: BaseException) -> str:
    """An unforeseen error's kind and place; its message might quote a post."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
