"""Posts laid end to end: the same numbers as padded ones, and none sees another."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    DistilBertConfig,
    ModernBertConfig,
    MPNetConfig,
    RobertaConfig,
)

from corpus_lonely.inference.forward import Forward
from corpus_lonely.model.attention import PACKED
from corpus_lonely.model.ensemble import EnsembleConfig, EnsembleModel
from corpus_lonely.model.network import LonelinessConfig, LonelinessModel

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"vocab_size": 50, "max_position_embeddings": 64, "pad_token_id": 1}
WIDE: dict[str, Any] = {
    **SMALL,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
ENCODERS = {
    "bert": BertConfig(**WIDE),
    "roberta": RobertaConfig(**WIDE),
    "distilbert": DistilBertConfig(**SMALL, dim=32, hidden_dim=64, n_layers=2, n_heads=4),
    "mpnet": MPNetConfig(**WIDE),  # its attention adds what it has learnt of distances
}


def make_forward(encoder: str, pooling: str = "mean", precision: str = "fp32") -> Forward:
    torch.manual_seed(0)
    config = LonelinessConfig(
        encoder_config=ENCODERS[encoder].to_dict(),
        pooling=pooling,  # type: ignore[arg-type]
        head_size=32,
    )
    model = LonelinessModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3)
    return Forward(model, CPU, precision, pad_id=1)


def make_ids(lengths: list[int]) -> list[np.ndarray]:
    dice = np.random.default_rng(0)
    return [dice.integers(2, 50, length, dtype=np.int32) for length in lengths]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("encoder", ["bert", "roberta"])
def test_packed_posts_score_as_padded_ones(encoder: str, pooling: str) -> None:
    forward = make_forward(encoder, pooling)
    ids = make_ids([7, 1, 40, 23, 23, 2, 60])
    padded = forward(ids).numpy()
    assert forward.pack()
    assert forward.packed
    np.testing.assert_allclose(forward(ids).numpy(), padded, atol=2e-6)
    # more tokens in all than the encoder has positions for
    many = make_ids([50] * 9)
    packed = forward(many).numpy()
    np.testing.assert_allclose(packed, forward.exactly(many).numpy(), atol=2e-6)
    assert forward.model.encoders[0].config._attn_implementation == PACKED


@pytest.mark.parametrize("packed", [False, True])
def test_a_posts_scores_do_not_depend_on_its_neighbours(packed: bool) -> None:
    forward = make_forward("bert")
    assert not packed or forward.pack()
    post, *others = make_ids([20, 19, 33, 4])
    alone = forward([post]).numpy()[0]
    for neighbours in ([others[0]], others, [post, *others], others[::-1]):
        np.testing.assert_allclose(forward([*neighbours, post]).numpy()[-1], alone, atol=2e-6)
        np.testing.assert_allclose(forward([post, *neighbours]).numpy()[0], alone, atol=2e-6)


def test_an_ensemble_is_packed_and_computed_exactly_as_its_members_are() -> None:
    members = [make_forward(kind).model for kind in ("bert", "roberta")]
    told = [member.config.to_dict() for member in members]
    ensemble = EnsembleModel(EnsembleConfig(members=told, max_tokens=60), members)  # type: ignore[arg-type]
    forward = Forward(ensemble, CPU, "fp32", pad_id=1)
    ids = make_ids([7, 1, 40, 23])
    expected = np.mean([Forward(one, CPU, "fp32", 1)(ids).numpy() for one in members], axis=0)
    np.testing.assert_allclose(forward(ids).numpy(), expected, atol=2e-6)
    assert forward.pack()
    np.testing.assert_allclose(forward(ids).numpy(), expected, atol=2e-6)
    np.testing.assert_allclose(forward.exactly(ids).numpy(), expected, atol=2e-6)
    assert [e.config._attn_implementation for e in ensemble.encoders] == [PACKED, PACKED]


def test_packing_by_positions_alone_would_leak() -> None:
    forward = make_forward("bert")
    first, second = make_ids([20, 12])
    encoder = forward.model.encoders[0]
    positions = torch.cat([torch.arange(20), torch.arange(12)])[None]
    together = torch.from_numpy(np.concatenate([first, second]).astype(np.int64))[None]
    with torch.inference_mode():
        leaking = encoder(input_ids=together, position_ids=positions).last_hidden_state[0, :20]
        alone = encoder(input_ids=together[:, :20]).last_hidden_state[0]
    assert float((leaking - alone).abs().max()) > 1e-3  # why the bounds are handed down


def test_an_encoder_whose_attention_looks_near_only_is_padded() -> None:
    config = LonelinessConfig(
        encoder_config=ModernBertConfig(
            vocab_size=50,
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=64,
            local_attention=16,
            pad_token_id=1,
            bos_token_id=2,
            eos_token_id=3,
            cls_token_id=2,
            sep_token_id=3,
        ).to_dict(),
        head_size=32,
    )
    forward = Forward(LonelinessModel(config), CPU, "fp32", pad_id=1)
    ids = make_ids([60, 5, 33])
    before = forward(ids).numpy()
    assert not forward.pack()
    np.testing.assert_array_equal(forward(ids).numpy(), before)


def test_roberta_as_it_is_made_can_be_packed() -> None:
    torch.manual_seed(0)
    config = LonelinessConfig(encoder_config=ENCODERS["roberta"].to_dict(), head_size=32)
    assert Forward(LonelinessModel(config), CPU, "fp32", pad_id=1).pack()


@pytest.mark.parametrize("encoder", ["distilbert", "mpnet"])
def test_an_encoder_that_cannot_be_packed_is_padded(encoder: str) -> None:
    forward = make_forward(encoder)
    ids = make_ids([7, 30, 3])
    before = forward(ids).numpy()
    if forward.pack():  # where this transformers hands the bounds down after all
        np.testing.assert_allclose(forward(ids).numpy(), before, atol=2e-6)
    else:
        assert not forward.packed
        np.testing.assert_array_equal(forward(ids).numpy(), before)


def test_a_kernel_that_leaks_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from corpus_lonely.model import attention  # noqa: PLC0415

    def leaking(query_NHD: Any, key_NHD: Any, value_NHD: Any, *_rest: Any) -> Any:
        whole = [x.transpose(0, 1)[None] for x in (query_NHD, key_NHD, value_NHD)]
        out = torch.nn.functional.scaled_dot_product_attention(*whole)
        return out[0].transpose(0, 1)

    monkeypatch.setattr(attention, "_by_length", leaking)
    forward = make_forward("bert")
    ids = make_ids([7, 30, 3])
    before = forward(ids).numpy()
    assert not forward.pack()
    np.testing.assert_array_equal(forward(ids).numpy(), before)


@pytest.mark.gpu
def test_on_a_gpu_the_kernel_agrees() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    forward = make_forward("bert")
    ids = make_ids([7, 1, 40, 23, 60])
    exact = forward(ids).numpy()
    half = Forward(forward.model, torch.device("cuda"), "fp16", pad_id=1)
    assert half.pack()
    np.testing.assert_allclose(half(ids).cpu().numpy(), exact, atol=0.01)


@pytest.mark.parametrize(
    "told", ["CUDA error: no kernel image is available for execution", "CUDA out of memory"]
)
def test_a_device_that_cannot_compute_is_not_one_that_cannot_pack(
    monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    """Batches that are padded would fail as well, each in a new process."""
    from corpus_lonely.model import attention  # noqa: PLC0415

    def fail(*_arguments: Any) -> Any:
        raise RuntimeError(told)

    with monkeypatch.context() as patch:
        patch.setattr(attention, "_by_length", fail)
        with pytest.raises(RuntimeError, match=told):
            make_forward("bert").pack()
    monkeypatch.setattr(Forward, "_padded", fail)
    with pytest.raises(RuntimeError, match=told):
        make_forward("bert").pack()
