"""What every test may use."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that reaches for a hub fails at once
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line sets it

REAL_DATA = os.environ.get("CORPUS_LONELY_REAL_DATA", "")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real development data; the test is skipped where there is none."""
    if not REAL_DATA or not Path(REAL_DATA).is_dir():
        pytest.skip("CORPUS_LONELY_REAL_DATA names no folder: the real data is not here")
    return Path(REAL_DATA)


@pytest.fixture(scope="session")
def tiny_labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled set of a few dozen made-up posts."""
    from tests.tiny import make_labels  # noqa: PLC0415  (datasets takes a second to import)

    return make_labels(tmp_path_factory.mktemp("labels"))


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two narrow layers with random weights."""
    from tests.tiny import make_tiny_encoder  # noqa: PLC0415  (torch takes seconds to import)

    return make_tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny")


@pytest.fixture(scope="session")
def tiny_model(
    tmp_path_factory: pytest.TempPathFactory, tiny_labels: Path, tiny_encoder: Path
) -> Path:
    """A model trained for two epochs on the tiny labels."""
    from corpus_lonely.training.settings import TrainSettings  # noqa: PLC0415
    from corpus_lonely.training.train import train_model  # noqa: PLC0415

    out = tmp_path_factory.mktemp("models") / "tiny"
    train_model(
        TrainSettings(
            str(tiny_labels), str(tiny_encoder), out, epochs=2, max_tokens=64, learning_rate=1e-3
        )
    )
    return out
