"""Encoders are data: what would run code is refused in words that do not advise to run it."""

import shutil
from pathlib import Path

import pytest
import torch

from corpus_lonely.errors import ModelError
from corpus_lonely.model.encoder import load_pretrained


class Harmful:
    """A pickle of it makes a folder when it is opened."""

    def __init__(self, made: Path) -> None:
        self._made = made

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.mkdir, (self._made,)


def test_a_pickle_that_holds_more_than_numbers_is_not_opened(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    (folder / "model.safetensors").unlink()
    torch.save({"x": Harmful(tmp_path / "made")}, folder / "pytorch_model.bin")
    with pytest.raises(
        ModelError, match=r"a pickle.*Give an encoder with model\.safetensors"
    ) as told:
        load_pretrained(folder)
    assert "weights_only" not in str(told.value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "made").exists()
