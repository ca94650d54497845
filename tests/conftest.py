"""What every test may use."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that reaches for a hub fails at once

REAL_DATA = os.environ.get("CORPUS_LONELY_REAL_DATA", "")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real development data; the test is skipped where there is none."""
    if not REAL_DATA or not Path(REAL_DATA).is_dir():
        pytest.skip("CORPUS_LONELY_REAL_DATA names no folder: the real data is not here")
    return Path(REAL_DATA)
