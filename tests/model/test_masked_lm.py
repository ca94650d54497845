"""Encoders under their masked-language-model head."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2Model

from corpus_lonely.errors import ModelError
from corpus_lonely.model.encoder import MINILM, load_tokenizer
from corpus_lonely.model.masked_lm import MaskedPositions, head_parameters, load_masked_lm


def saved(folder: Path, tiny_encoder: Path) -> Path:
    """The tiny encoder, saved with a head."""
    model, tokenizer, _ = load_masked_lm(tiny_encoder)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("encoder", ["tiny", MINILM])
def test_an_encoder_without_a_head_gets_one_tied_to_its_embeddings(
    tiny_encoder: Path, encoder: str
) -> None:
    model, tokenizer, new_head = load_masked_lm(tiny_encoder if encoder == "tiny" else encoder, 0.0)
    assert new_head
    assert tokenizer.mask_token == "[MASK]"
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.config.attention_probs_dropout_prob == 0.0
    names = set(head_parameters(model))
    assert names == {
        "cls.predictions.bias", "cls.predictions.transform.dense.weight",
        "cls.predictions.transform.dense.bias", "cls.predictions.transform.LayerNorm.weight",
        "cls.predictions.transform.LayerNorm.bias",
    }  # fmt: skip


def test_a_saved_head_is_kept(tiny_encoder: Path, tmp_path: Path) -> None:
    first = load_file(saved(tmp_path / "a", tiny_encoder) / "model.safetensors")
    model, _, new_head = load_masked_lm(tmp_path / "a")
    assert not new_head
    key = "cls.predictions.transform.dense.weight"
    assert torch.equal(model.state_dict()[key], first[key])


@pytest.mark.parametrize(
    "lost",
    ["cls.predictions.transform.dense.weight", "bert.encoder.layer.0.output.dense.weight"],
)
def test_half_a_head_or_half_an_encoder_is_refused(
    tiny_encoder: Path, tmp_path: Path, lost: str
) -> None:
    path = saved(tmp_path / "a", tiny_encoder) / "model.safetensors"
    weights = load_file(path)
    del weights[lost]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=f"its weights lack 1 tensors, {lost} the first"):
        load_masked_lm(tmp_path / "a")


def test_a_new_head_hides_no_lack_in_the_encoder(tiny_encoder: Path, tmp_path: Path) -> None:
    model, tokenizer, _ = load_masked_lm(tiny_encoder)
    tokenizer.save_pretrained(tmp_path)
    model.config.save_pretrained(tmp_path)
    weights = {k: v.clone() for k, v in model.state_dict().items() if k.startswith("bert.")}
    del weights["bert.embeddings.word_embeddings.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack 1 tensors, bert\.embeddings"):
        load_masked_lm(tmp_path)


def test_models_that_cannot_guess_hidden_words(tiny_encoder: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_encoder)
    GPT2Model(GPT2Config(vocab_size=60, n_embd=8, n_layer=1, n_head=1)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="the encoder cannot be loaded") as caught:
        load_masked_lm(tmp_path)
    assert "\n" not in str(caught.value)
    tokenizer.mask_token = None
    saved(tmp_path / "b", tiny_encoder)
    tokenizer.save_pretrained(tmp_path / "b")
    with pytest.raises(ModelError, match="its tokenizer has no mask token"):
        load_masked_lm(tmp_path / "b")


def test_masked_positions_give_the_loss_and_gradients_of_the_whole() -> None:
    torch.manual_seed(0)
    model = BertForMaskedLM(
        BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    ).eval()  # fmt: skip
    ids_BT = torch.randint(5, 50, (3, 9))
    keep_BT = torch.rand(3, 9) < 0.3
    labels_BT = torch.where(keep_BT, torch.randint(5, 50, (3, 9)), -100)
    whole = model(input_ids=ids_BT, labels=labels_BT)
    whole.loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    positions = MaskedPositions(model)
    with positions.only(keep_BT):
        logits_MV = model(input_ids=ids_BT).logits[0]
    assert torch.allclose(logits_MV, whole.logits[keep_BT], atol=1e-6)
    loss = functional.cross_entropy(logits_MV, labels_BT[keep_BT])
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(whole.loss.detach()), abs=1e-6)
    for name, gradient in expected.items():
        assert torch.allclose(model.get_parameter(name).grad, gradient, atol=1e-6), name
    assert model(input_ids=ids_BT).logits.shape == (3, 9, 50)  # outside the block as ever
