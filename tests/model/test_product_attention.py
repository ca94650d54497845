"""Attention by plain products gives what the fused kernel gives, forward and back."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import ModernBertConfig, ModernBertModel, PreTrainedModel
from transformers.integrations import sdpa_attention

from corpus_lonely.model.encoder import load_pretrained
from corpus_lonely.model.product_attention import PRODUCTS, attend_by_products

LENGTHS = (1, 5, 20, 31)


def learn(encoder: PreTrainedModel) -> tuple[Tensor, dict[str, Tensor]]:
    """Hidden states of the tokens, and the gradients of a sum over them, in bfloat16."""
    encoder.zero_grad()
    longest = max(LENGTHS)
    mask_BT = torch.arange(longest) < torch.tensor(LENGTHS)[:, None]
    dice = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(10, 30, (len(LENGTHS), longest), generator=dice)
    with torch.autocast("cpu", torch.bfloat16):
        states_BTX = encoder(input_ids=ids_BT, attention_mask=mask_BT.long()).last_hidden_state
    tokens_NX = states_BTX[mask_BT].float()
    (tokens_NX * torch.randn(tokens_NX.shape, generator=dice)).sum().backward()
    return tokens_NX.detach(), {
        n: p.grad for n, p in encoder.named_parameters() if p.grad is not None
    }


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the fused kernel was asked."""
    calls: list[int] = []
    fused = sdpa_attention.sdpa_attention_forward

    def count(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        return fused(*arguments, **named)

    monkeypatch.setattr("corpus_lonely.model.product_attention.sdpa_attention_forward", count)
    return calls


def test_hidden_states_and_gradients_agree(tiny_encoder: Path, asked: list[int]) -> None:
    encoder, _ = load_pretrained(tiny_encoder, 0.0)
    encoder.train(mode=False)  # no dropout
    assert encoder.config._attn_implementation == PRODUCTS
    ours_NX, ours = learn(encoder)
    assert not asked
    encoder.set_attn_implementation("sdpa")
    fused_NX, fused = learn(encoder)
    assert ours.keys() == fused.keys()
    assert len(ours) > 20
    assert not torch.equal(ours_NX, fused_NX)  # it was another way
    torch.testing.assert_close(ours_NX, fused_NX, rtol=0.02, atol=0.02)
    for name, gradient in ours.items():
        # a key's bias moves no softmax: its gradient is rounding alone
        near = 0.03 * float(fused[name].norm()) + (0.1 if name.endswith("key.bias") else 1e-4)
        assert float((gradient - fused[name]).norm()) <= near, name


def test_padding_that_sees_no_key_spoils_nothing(tmp_path: Path) -> None:
    """Local attention: padding further than its window from the last token has no key."""
    config = ModernBertConfig(
        vocab_size=60, hidden_size=32, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
        local_attention=16, pad_token_id=0, cls_token_id=1, sep_token_id=2,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    encoder = ModernBertModel(config)
    attend_by_products(encoder)
    assert encoder.config._attn_implementation == PRODUCTS
    ours_NX, ours = learn(encoder.train(mode=False))
    encoder.set_attn_implementation("sdpa")
    fused_NX, fused = learn(encoder)
    assert ours_NX.isfinite().all()
    torch.testing.assert_close(ours_NX, fused_NX, rtol=0.05, atol=0.05)
    for name, gradient in ours.items():
        assert float((gradient - fused[name]).norm()) <= 0.05 * float(fused[name].norm()) + 1e-3


def test_float32_and_measuring_keep_the_fused_kernel(tiny_encoder: Path, asked: list[int]) -> None:
    encoder, _ = load_pretrained(tiny_encoder, 0.0)
    layers = encoder.config.num_hidden_layers
    ids_BT = torch.randint(10, 30, (2, 8))
    encoder(input_ids=ids_BT)
    assert len(asked) == layers
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        encoder(input_ids=ids_BT)
    assert len(asked) == 2 * layers


def test_attention_dropout_leaves_weights_out(tiny_encoder: Path) -> None:
    encoder, _ = load_pretrained(tiny_encoder, 0.5)
    for name, module in encoder.named_modules():
        if isinstance(module, torch.nn.Dropout) and "attention.self" not in name:
            module.p = 0.0  # that of the hidden states
    ids_BT = torch.randint(10, 30, (2, 8))
    with torch.autocast("cpu", torch.bfloat16):
        encoder.train()
        one, other = (encoder(input_ids=ids_BT).last_hidden_state for _ in range(2))
    assert not torch.equal(one, other)


def test_what_is_saved_asks_for_no_attention_of_ours(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder, _ = load_pretrained(tiny_encoder)
    encoder.save_pretrained(tmp_path)
    assert PRODUCTS not in (tmp_path / "config.json").read_text()
