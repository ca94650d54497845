"""What each trained model says of the split that is judged, kept so that tables cost no second pass."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from corpus_lonely.files import atomic_path
from corpus_lonely.inference.engine import Engine, EngineSettings
from corpus_lonely.inference.folder import model_facts
from corpus_lonely.metrics import Array
from corpus_lonely.progress import Progress
from corpus_lonely.training.evaluate import check_scored
from corpus_lonely.training.labels import LabelledPosts

_NAME = "probabilities"


def predict(
    model: Path, posts: LabelledPosts, kept: Path, settings: EngineSettings, progress: Progress
) -> Array:
    """(N, L) the model's distributions; read from `kept` where that is of this model and these posts.

    The file holds numbers alone: no text, no id.
    """
    wanted = f"{model_facts(model).fingerprint} {posts.fingerprint} {settings.precision}"
    found = _read(kept, wanted)
    if found is not None:
        return found
    engine = Engine.load(model, settings)
    progress.start(f"Scoring with {model.parent.name}/{model.name}", len(posts), "posts")
    scores = engine.score(posts.texts, progress=progress.advance)
    progress.finish()
    check_scored(scores.status, kept.parent)
    scored_NL = scores.probabilities_NL
    with atomic_path(kept) as temporary:
        save_file({_NAME: scored_NL}, temporary, metadata={"of": wanted})
    return scored_NL.astype(np.float64)


def _read(kept: Path, wanted: str) -> Array | None:
    try:
        with safe_open(kept, "numpy") as file:
            if (file.metadata() or {}).get("of") == wanted:
                scored_NL: Array = file.get_tensor(_NAME).astype(np.float64)
                return scored_NL
    except (OSError, SafetensorError):
        pass  # not there, or damaged: scored anew
    return None
