"""One synthetic corpus for the whole room."""

from pathlib import Path

import pytest

from corpus_lonely.demo.corpus import Post, make_posts
from corpus_lonely.demo.dumps import write_dumps

SEED = 7


@pytest.fixture(scope="session")
def posts() -> list[Post]:
    """The corpus at its full size."""
    return make_posts(SEED)


@pytest.fixture(scope="session")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A small corpus as dumps."""
    folder = tmp_path_factory.mktemp("dumps")
    return write_dumps(folder, SEED, submissions=900, comments=450, authors=120)
