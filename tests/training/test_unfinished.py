"""Checkpoints of an unfinished run: kept from runs of other settings, and gone on from as they began."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import Trainer

from corpus_lonely.errors import OutputError
from corpus_lonely.files import about_folder
from corpus_lonely.training import devices
from corpus_lonely.training.adaptation.run import adapt_encoder
from corpus_lonely.training.experiment.file import make_experiment
from corpus_lonely.training.experiment.run import run_experiment
from corpus_lonely.training.run_folder import RunFolder
from corpus_lonely.training.train import train_model
from tests.training.adaptation import made
from tests.training.test_checkpoints import Death, die, dies_at_its_second_call
from tests.training.test_train import same_weights, settings


def unfinished(run: Any, start: Any = train_model) -> Path:
    """The folder of checkpoints of a run that dies at its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "publish", die)
        with pytest.raises(Death):
            start(run)
    (folder,) = (about_folder(run.out) / "checkpoints").iterdir()
    return folder


def computes(patch: pytest.MonkeyPatch, bf16: bool) -> None:
    patch.setattr(devices, "computes_bf16", lambda _device: bf16)


def test_a_run_of_other_settings_throws_no_checkpoints_away_unasked(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m"
    first = settings(tiny_labels, tiny_encoder, out, epochs=1)
    checkpoints = unfinished(first)
    for other, told in (
        ({"seed": 1}, r"seed \(0, not 1\)"),
        ({"epochs": 2}, r"epochs \(1, not 2\)"),
    ):
        with pytest.raises(OutputError, match=rf"unfinished run that differs in {told}\. Give"):
            train_model(settings(tiny_labels, tiny_encoder, out, **{"epochs": 1, **other}))
    notes = made.Notes()
    train_model(first, notes)
    assert "Going on from checkpoint-3." in notes.lines
    unfinished(settings(tiny_labels, tiny_encoder, tmp_path / "n", epochs=1))
    train_model(
        settings(tiny_labels, tiny_encoder, tmp_path / "n", epochs=1, seed=1, overwrite=True)
    )
    assert not checkpoints.exists()
    assert not about_folder(tmp_path / "n").exists()


def test_nor_does_an_adaptation(tiny_encoder: Path, tmp_path: Path) -> None:
    posts = made.write_posts(tmp_path / "p.parquet", made.made_texts(30))
    unfinished(made.settings(posts, tiny_encoder, tmp_path / "e", epochs=1), adapt_encoder)
    with pytest.raises(OutputError, match=r"differs in epochs \(1, not 2\)"):
        adapt_encoder(made.settings(posts, tiny_encoder, tmp_path / "e"))
    more = made.write_posts(tmp_path / "more.parquet", made.made_texts(40))
    with pytest.raises(OutputError, match="differs in its labels, posts or encoder"):
        adapt_encoder(made.settings(more, tiny_encoder, tmp_path / "e", epochs=1))


def test_nor_does_an_experiment_which_tells_before_the_first_run(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    told = {
        "labels": str(tiny_labels), "encoders": {"plain": str(tiny_encoder)}, "seeds": [0],
        "train": {"epochs": 1, "max-tokens": 64, "precision": "fp32"},
        "systems": [{"name": "First", "head": "mlp"}, {"name": "Second"}],
    }  # fmt: skip
    first = make_experiment(told)
    out = tmp_path / "models" / "second" / "seed-0"
    unfinished(first.settings(first.systems[1], 0, out, str(tiny_encoder)))
    other = make_experiment({**told, "train": {**told["train"], "epochs": 2}})  # type: ignore[dict-item]
    with pytest.raises(OutputError, match=r"seed-0\.about.* differs in epochs \(1, not 2\)"):
        run_experiment(other, tmp_path)
    assert not (tmp_path / "models" / "first").exists()


def test_a_run_that_began_in_float32_goes_on_in_it(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computes(monkeypatch, bf16=False)
    whole, broken = (
        settings(
            tiny_labels, tiny_encoder, tmp_path / name, epochs=2, precision="auto", device="cpu"
        )
        for name in ("whole", "broken")
    )
    train_model(whole)
    with pytest.MonkeyPatch.context() as patch:
        dies_at_its_second_call(patch, Trainer, "_save_optimizer_and_scheduler")
        with pytest.raises(Death):
            train_model(broken)
    computes(monkeypatch, bf16=True)
    notes = made.Notes()
    train_model(broken, notes)
    assert "Begun on cpu in fp32, and going on in that on cpu." in notes.lines
    assert same_weights(tmp_path / "whole", tmp_path / "broken")
    record = json.loads((tmp_path / "broken" / "training.json").read_text())
    assert record["computed"] == {"device": "cpu", "precision": "fp32"}
    assert train_model(whole).already_there  # though it would now be computed otherwise


def test_one_that_began_in_bfloat16_is_not_mixed_with_float32(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computes(monkeypatch, bf16=True)
    told: dict[str, Any] = {"epochs": 1, "precision": "auto", "device": "cpu"}
    unfinished(settings(tiny_labels, tiny_encoder, tmp_path / "m", **told))
    computes(monkeypatch, bf16=False)
    with pytest.raises(
        OutputError, match="a run in bf16 on cpu; on this cpu, --precision auto is fp"
    ):
        train_model(settings(tiny_labels, tiny_encoder, tmp_path / "m", **told))
    train_model(settings(tiny_labels, tiny_encoder, tmp_path / "m", overwrite=True, **told))
    record = json.loads((tmp_path / "m" / "training.json").read_text())
    assert record["computed"]["precision"] == "fp32"


def test_an_adaptation_goes_on_in_its_precision_too(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = made.write_posts(tmp_path / "p.parquet", made.made_texts(30))
    run = made.settings(posts, tiny_encoder, tmp_path / "e", epochs=1, precision="auto")
    computes(monkeypatch, bf16=False)
    unfinished(run, adapt_encoder)
    computes(monkeypatch, bf16=True)
    adapt_encoder(run)
    assert made.record(tmp_path / "e")["computed"] == {"device": "cpu", "precision": "fp32"}


def test_checkpoints_of_versions_that_told_nothing_are_gone_on_from(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    run = settings(tiny_labels, tiny_encoder, tmp_path / "m", epochs=1)
    folder = unfinished(run)
    (folder / "run.json").unlink()
    notes = made.Notes()
    train_model(run, notes)
    assert "Going on from checkpoint-3." in notes.lines
