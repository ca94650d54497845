"""Fine-grained loneliness in social media: from Reddit dumps to distributions, and to answers over time."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpus_lonely.inference.engine import load_model, score_texts
    from corpus_lonely.study.scores import scan_posts, scan_scores

__all__ = ["load_model", "scan_posts", "scan_scores", "score_texts"]

try:
    __version__ = version("corpus-lonely")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0.0.0"

_HOMES = {
    "load_model": "corpus_lonely.inference.engine",
    "score_texts": "corpus_lonely.inference.engine",
    "scan_posts": "corpus_lonely.study.scores",
    "scan_scores": "corpus_lonely.study.scores",
}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: only who asks for a model pays for it
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
