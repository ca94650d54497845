"""Texts to distributions."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import corpus_lonely
from corpus_lonely.errors import ModelError, ScoringError, SettingsError
from corpus_lonely.inference import engine as engines
from corpus_lonely.inference.device import find_device, find_precision
from corpus_lonely.inference.engine import Engine, EngineSettings
from corpus_lonely.inference.folder import model_facts
from corpus_lonely.inference.forward import Forward, Ids
from corpus_lonely.inference.sweep import Sweep
from corpus_lonely.tables import scores_schema
from corpus_lonely.taxonomy import loneliness

TEXTS = ["alone and lonely", None, "cake " * 200, "", " \u200b\n ", "\ud800 nobody", "football"]


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Engine:
    return Engine.load(tiny_model, EngineSettings(precision="fp32"))


def test_scores_are_distributions_in_the_order_of_the_texts(engine: Engine) -> None:
    scores = engine.score(TEXTS)
    assert scores.status == ["ok", "empty", "ok", "empty", "empty", "ok", "ok"]
    assert np.isnan(scores.probabilities_NL[1]).all()
    for part in loneliness().slices.values():
        sums = scores.probabilities_NL[[0, 2, 5, 6], part].sum(axis=1)
        assert sums == pytest.approx([1, 1, 1, 1])
    assert scores.truncated.tolist() == [False, False, True, False, False, False, False]
    assert scores.num_tokens[2] == 64
    assert scores.num_tokens[1] == 0
    alone = engine.score(["football"]).probabilities_NL[0]
    assert scores.probabilities_NL[6] == pytest.approx(alone, abs=1e-5)


def test_the_table_has_the_declared_columns_and_nulls(engine: Engine) -> None:
    table = engine.score(TEXTS).to_arrow()
    assert table.schema.equals(scores_schema(loneliness()))
    assert table.column("lonely").null_count == 3
    assert table.column("status").null_count == 0
    probabilities = engine.score(TEXTS[:1]).probabilities_NL[0]
    row = engine.score(TEXTS[:1]).to_arrow().to_pylist()[0]
    assert row["lonely"] == pytest.approx(probabilities[1])
    assert row["duration_transient"] == pytest.approx(probabilities[2])
    assert row["interaction_non_directed"] == pytest.approx(probabilities[20])


def test_a_posts_scores_do_not_depend_on_its_neighbours(engine: Engine) -> None:
    texts = ["alone " * n for n in range(1, 40)]
    together = engine.score(texts).probabilities_NL
    apart = np.concatenate([engine.score([text]).probabilities_NL for text in texts])
    assert together == pytest.approx(apart, abs=1e-5)


def test_scores_equal_a_plain_forward_pass(engine: Engine) -> None:
    encoded = engine.tokenizer("nobody is alone", return_tensors="pt")
    with torch.no_grad():
        plain = engine.model(encoded["input_ids"], encoded["attention_mask"]).probabilities
    assert engine.score(["nobody is alone"]).probabilities_NL == pytest.approx(
        plain.numpy(), abs=1e-6
    )


def test_bfloat16_is_near_float32(tiny_model: Path, engine: Engine) -> None:
    texts = ["alone " * n for n in range(1, 40)]
    bf16 = Engine.load(tiny_model, EngineSettings(precision="bf16")).score(texts)
    difference = np.abs(bf16.probabilities_NL - engine.score(texts).probabilities_NL).max()
    assert 0 < difference < 0.02


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("too much"),
        torch.AcceleratorError("CUDA error: out of memory\nCompile with"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_running_out_of_memory_halves_the_budget(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    texts = ["alone " * n for n in range(1, 40)]
    expected = engine.score(texts).probabilities_NL
    whole = Engine._forward
    failures: list[int] = []

    def small_memory(self: Engine, ids: Ids) -> torch.Tensor:
        if len(ids) * max(map(len, ids)) > 1500:
            failures.append(len(ids))
            raise error
        return whole(self, ids)

    monkeypatch.setattr(Engine, "_forward", small_memory)
    monkeypatch.setattr(engine, "sweep", Sweep(engine.device, 2048))
    assert engine.score(texts).probabilities_NL == pytest.approx(expected, abs=1e-5)
    assert engine.batch_tokens == 1024  # halved once: what was planned before is cut, not tried
    assert engine.halvings == len(failures) == 1


def test_equal_texts_are_scored_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["alone", None, "cake &amp; music", "alone", "  alone ", "cake & music", "", "garden"]
    expected = np.concatenate([engine.score([text]).probabilities_NL for text in texts])
    whole = Engine._forward
    seen: list[int] = []
    told: list[int] = []

    def counted(self: Engine, ids: Ids) -> torch.Tensor:
        seen.append(len(ids))
        return whole(self, ids)

    monkeypatch.setattr(Engine, "_forward", counted)
    scores = engine.score(texts, told.append)
    assert sum(seen) == 3
    assert sum(told) == 6  # texts, not what was computed
    np.testing.assert_allclose(scores.probabilities_NL, expected, atol=1e-5)
    assert scores.num_tokens.tolist() == [3, 0, 5, 3, 3, 5, 0, 3]


def test_mixed_scores_doubtful_posts_once_more_in_float32(
    tiny_model: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [" ".join(["alone"] * n + ["cake"] * (40 - n)) for n in range(41)]
    exact = engine.score(texts).probabilities_NL
    mixed = Engine.load(tiny_model, EngineSettings(precision="mixed", device="cpu"))
    rough = Engine.load(tiny_model, EngineSettings(precision="bf16", device="cpu"))
    plain = rough.score(texts).probabilities_NL
    sureness = plain[:, :2].max(axis=1)
    monkeypatch.setattr(engines, "_SURE", float(np.median(sureness)))
    scored = mixed.score(texts).probabilities_NL
    doubtful = sureness < np.median(sureness)
    assert 0 < doubtful.sum() < len(texts)
    np.testing.assert_allclose(scored[doubtful], exact[doubtful], atol=1e-6)
    np.testing.assert_array_equal(scored[~doubtful], plain[~doubtful])
    assert np.abs(plain[doubtful] - exact[doubtful]).max() > 1e-5


def test_numbers_that_overflow_are_computed_again_in_float32(
    tiny_model: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["alone", "cake", "garden music"]
    half = Engine.load(tiny_model, EngineSettings(precision="bf16", device="cpu"))
    whole = Engine._forward

    def overflow(self: Engine, ids: Ids) -> torch.Tensor:
        scored_BL = whole(self, ids).clone()
        scored_BL[[len(post) > 3 for post in ids], 4] = torch.nan
        return scored_BL

    monkeypatch.setattr(Engine, "_forward", overflow)
    scores = half.score(texts)
    assert scores.status == ["ok", "ok", "ok"]
    exact = engine.model  # the float32 engine's own weights
    encoded = engine.tokenizer(texts[2], return_tensors="pt")
    with torch.no_grad():
        plain = exact(encoded["input_ids"], encoded["attention_mask"]).probabilities
    np.testing.assert_allclose(scores.probabilities_NL[2], plain.numpy()[0], atol=1e-6)


def test_threads_may_share_an_engine(engine: Engine) -> None:
    texts = [f"{'alone ' * n} {'cake ' * (n % 7)}" for n in range(1, 90)]
    expected = engine.score(texts)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: engine.score(texts), range(12)))
    for scores in found:
        np.testing.assert_array_equal(scores.probabilities_NL, expected.probabilities_NL)
        np.testing.assert_array_equal(scores.num_tokens, expected.num_tokens)


def test_the_count_of_threads_holds_in_every_thread_that_scores(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch keeps a count for each thread: one that has computed before does not hear of a new one."""

    def ask() -> int:
        torch.ones(64, 64) @ torch.ones(64, 64)
        return torch.get_num_threads()

    seen: list[int] = []
    forward = Engine._forward

    def counted(self: Engine, ids: Ids) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return forward(self, ids)

    monkeypatch.setattr(Engine, "_forward", counted)
    with ThreadPoolExecutor(1) as other:
        other.submit(torch.set_num_threads, 3).result()
        assert other.submit(ask).result() == 3
        engine = Engine.load(tiny_model, EngineSettings(precision="fp32", threads=1))
        other.submit(engine.score, TEXTS).result()
    assert set(seen) == {1}


def test_other_errors_are_not_taken_for_memory(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: Engine, _ids: Ids) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(Engine, "_forward", broken)
    with pytest.raises(RuntimeError, match="multiplied"):
        engine.score(["a", "b"])


def test_a_row_without_a_number_is_an_error_and_not_a_score(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_number(_self: Engine, ids: Ids) -> torch.Tensor:
        return torch.full((len(ids), 21), torch.nan)

    monkeypatch.setattr(Engine, "_forward", no_number)
    scores = engine.score(["a", None])
    assert scores.status == ["error", "empty"]
    assert scores.to_arrow().column("lonely").null_count == 2


def test_the_length_is_the_trained_one_unless_told(tiny_model: Path, engine: Engine) -> None:
    assert engine.max_tokens == model_facts(tiny_model).max_tokens == 64
    assert Engine.load(tiny_model, EngineSettings(max_tokens=32)).max_tokens == 32
    with pytest.raises(
        SettingsError, match="--max-tokens must be at most 256 for this bert, got 300"
    ):
        Engine.load(tiny_model, EngineSettings(max_tokens=300))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"batch_tokens": 64}, "--batch-tokens must be at least 512, got 64"),
        ({"max_tokens": 2}, "--max-tokens must be at least 8, got 2"),
    ],
)
def test_settings_name_key_rule_and_value(settings: dict[str, int], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        EngineSettings(**settings)  # type: ignore[arg-type]


def test_devices_and_precisions_that_are_not_there() -> None:
    with pytest.raises(SettingsError, match="--device 'nonsense' is not there"):
        find_device("nonsense")
    with pytest.raises(
        SettingsError, match="--precision must be one of auto, fp32, mixed, bf16, fp16"
    ):
        find_precision("fp8", torch.device("cpu"))
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="--device 'cuda' is not there"):
            find_device("cuda")


def test_folders_that_are_no_models(tiny_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        Engine.load(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="it has no config"):
        Engine.load(tmp_path)
    with pytest.raises(ModelError, match="model of type 'bert'"):
        Engine.load(tiny_encoder)


def test_damaged_weights_get_one_line(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny_model / name).read_bytes())
    weights = (tiny_model / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelError, match="its weights cannot be loaded") as caught:
        Engine.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_fingerprint_sees_weights_config_and_tokenizer(
    tiny_model: Path, tmp_path: Path
) -> None:
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    before = model_facts(tiny_model).fingerprint
    for changed in names:
        folder = tmp_path / changed
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes((tiny_model / name).read_bytes())
        assert model_facts(folder).fingerprint == before
        with (folder / changed).open("ab") as file:
            file.write(b" ")
        assert model_facts(folder).fingerprint != before


def test_the_public_names(tiny_model: Path) -> None:
    model = corpus_lonely.load_model(tiny_model, precision="fp32")
    frame = corpus_lonely.score_texts(model, ["alone", None])
    assert frame["status"].to_list() == ["ok", "empty"]
    assert frame["lonely"].null_count() == 1
    assert isinstance(model, engines.Engine)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("CUDA error: no kernel image is available\nCompile"), "cannot compute with"),
        (torch.OutOfMemoryError("CUDA out of memory"), "has too little memory left for the model"),
    ],
)
def test_a_device_that_is_of_no_use_is_told_in_a_line(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError, told: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(Forward, "pack", fail)
    with pytest.raises(ScoringError, match=f"^device cpu: {told}"):
        Engine.load(tiny_model, EngineSettings(precision="bf16"))


def test_products_are_exact_whatever_the_environment_says() -> None:
    code = (
        "import torch; from corpus_lonely.inference.device import exact_products\n"
        "told = torch.backends.cuda.matmul\n"
        "before = told.allow_tf32; exact_products()\n"
        "print(before, told.allow_tf32, told.allow_fp16_reduced_precision_reduction,"
        " told.allow_bf16_reduced_precision_reduction)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "False", "False", "False"]
