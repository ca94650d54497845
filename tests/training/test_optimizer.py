"""Learning rates a layer, and what a run that knew none of them had."""

from pathlib import Path

import pytest
from torch import nn

from corpus_lonely.demo.encoder import make_encoder
from corpus_lonely.errors import SettingsError
from corpus_lonely.model.encoder import load_pretrained
from corpus_lonely.model.network import LonelinessConfig, LonelinessModel
from corpus_lonely.model.weighting import make_weighting
from corpus_lonely.training.optimizer import make_optimizer
from corpus_lonely.training.settings import TrainSettings

EQUAL = make_weighting("equal", ["global", "local"], ["lonely"], "lonely", 0.5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LonelinessModel:
    folder = make_encoder(["a b c"] * 5, tmp_path_factory.mktemp("e"), hidden=32, layers=2)
    encoder, _tokenizer = load_pretrained(str(folder), 0.0)
    return LonelinessModel(LonelinessConfig(encoder_config=encoder.config.to_dict()), encoder)


def rates(model: LonelinessModel, decay: float) -> dict[str, float]:
    settings = TrainSettings(
        "l", "e", Path("o"), learning_rate=1e-3, head_learning_rate=5e-3, layer_decay=decay
    )
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = make_optimizer(settings, model, EQUAL).param_groups
    return {names[id(p)]: group["lr"] for group in groups for p in group["params"]}


def test_each_layer_learns_slower_than_the_one_above(model: LonelinessModel) -> None:
    found = rates(model, 0.5)
    assert found.keys() == dict(model.named_parameters()).keys()
    expected = {"embeddings": 2.5e-4, "encoder.layer.0": 5e-4, "encoder.layer.1": 1e-3}
    for name, rate in found.items():
        part = [told for told in expected if name.startswith(f"encoder.{told}")]
        assert rate == pytest.approx(expected[part[0]] if part else 5e-3), name
        assert bool(part) != name.startswith("head.")


def test_without_decay_the_whole_encoder_learns_alike(model: LonelinessModel) -> None:
    found = rates(model, 1.0)
    assert {rate for name, rate in found.items() if name.startswith("encoder.")} == {1e-3}


def test_an_encoder_without_named_layers_is_refused(
    model: LonelinessModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "encoder", nn.Linear(2, 2))
    with pytest.raises(SettingsError, match=r"--layer-decay must be 1 for this encoder.*got 0.5"):
        rates(model, 0.5)
