"""Training runs: what they leave behind, resumed runs, refusals."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

from corpus_lonely.cli.main import main
from corpus_lonely.demo.encoder import make_encoder
from corpus_lonely.errors import LabelsError, OutputError, SettingsError
from corpus_lonely.files import about_folder
from corpus_lonely.inference.engine import Engine, EngineSettings
from corpus_lonely.metrics import evaluate
from corpus_lonely.model.network import LonelinessModel
from corpus_lonely.model.weighting import make_weighting
from corpus_lonely.progress import Silent
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.training import trainer
from corpus_lonely.training.callback import ProgressCallback
from corpus_lonely.training.card import model_card
from corpus_lonely.training.labels import load_labels
from corpus_lonely.training.optimizer import make_optimizer
from corpus_lonely.training.settings import TrainSettings
from corpus_lonely.training.splits import training_splits
from corpus_lonely.training.train import train_model
from tests.tiny import make_labels, save_rows, tiny_rows


def settings(labels: Path, encoder: Path, out: Path, **other: Any) -> TrainSettings:
    defaults: dict[str, Any] = {
        "epochs": 3, "max_tokens": 64, "learning_rate": 1e-3, "head_learning_rate": 1e-3,
        "precision": "fp32", "threads": 1,
    }  # fmt: skip
    return TrainSettings(str(labels), str(encoder), out, **{**defaults, **other})


def weights(model: Path) -> dict[str, Any]:
    return load_file(model / "model.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(
        bool((first[name] == second[name]).all()) for name in first
    )


def test_a_model_learns_and_loads(tiny_labels: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    report = train_model(settings(tiny_labels, tiny_encoder, tmp_path / "model", epochs=8))
    assert report.dev["lonely"]["f1"] == 1.0  # the words tell all
    assert set(report.dev) == {"lonely", "duration", "context", "interpersonal", "interaction"}
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "training.json"} <= files
    assert "training.png" in files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]  # no pickles
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    model = LonelinessModel.from_pretrained(tmp_path / "model")
    assert model.config.label_means[:2] == pytest.approx([0.5, 0.5])
    scores = Engine.load(tmp_path / "model", EngineSettings(precision="fp32")).score(
        ["alone nobody empty", "cake music garden"]
    )
    assert scores.probabilities_NL[0, 1] > 0.5 > scores.probabilities_NL[1, 1]


@pytest.mark.parametrize(
    "other",
    [{"head": "mlp"}, {"loss": "cross-entropy"}, {"loss": "hellinger"}, {"norm": "batch"},
     {"pooling": "cls", "rejoin": True, "attention_dropout": 0.1}],
)  # fmt: skip
def test_every_variant_trains(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path, other: dict[str, Any]
) -> None:
    report = train_model(settings(tiny_labels, tiny_encoder, tmp_path / "m", epochs=1, **other))
    losses = [e["loss"] for e in json.loads((report.out / "training.json").read_text())["history"] if "loss" in e]  # fmt: skip
    assert all(0 < loss < 10 for loss in losses)


def test_the_same_settings_give_the_same_weights_and_another_seed_others(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_model(settings(tiny_labels, tiny_encoder, tmp_path / name, epochs=1, seed=seed))
    assert same_weights(tmp_path / "a", tmp_path / "b")
    assert not same_weights(tmp_path / "a", tmp_path / "c")


def test_an_interrupted_run_ends_with_the_weights_of_an_undisturbed_one(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_model(settings(tiny_labels, tiny_encoder, tmp_path / "whole"))
    seen = []
    step_end = ProgressCallback.on_step_end

    def interrupt(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        seen.append(state.global_step)
        if state.global_step == 5:  # in the second epoch of three steps each
            raise KeyboardInterrupt
        step_end(self, args, state, control, **kwargs)

    monkeypatch.setattr(ProgressCallback, "on_step_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_model(settings(tiny_labels, tiny_encoder, tmp_path / "broken"))
    assert not (tmp_path / "broken").exists()
    monkeypatch.setattr(ProgressCallback, "on_step_end", step_end)
    # a torn checkpoint, as a kill while writing leaves it, is not resumed from
    checkpoints = next((about_folder(tmp_path / "broken") / "checkpoints").iterdir())
    (checkpoints / "checkpoint-6").mkdir()
    train_model(settings(tiny_labels, tiny_encoder, tmp_path / "broken"))
    assert seen == [1, 2, 3, 4, 5]
    assert same_weights(tmp_path / "whole", tmp_path / "broken")
    assert not about_folder(tmp_path / "broken").exists()


def test_a_resumed_run_remembers_how_long_dev_has_not_got_better(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    courses = {"whole": [0.9, 0.5, 0.4, 0.95, 0.95], "broken": [0.9, 0.5, 0.4, 0.95, 0.95]}
    name = "whole"
    monkeypatch.setattr("corpus_lonely.metrics.selection_score", lambda *_: courses[name].pop(0))
    whole = train_model(settings(tiny_labels, tiny_encoder, tmp_path / name, epochs=5, patience=2))
    assert (whole.best_epoch, whole.epochs) == (1, 3)

    name = "broken"
    step_end = ProgressCallback.on_step_end

    def interrupt(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 7:  # in the third epoch, dev once not better
            raise KeyboardInterrupt
        step_end(self, args, state, control, **kwargs)

    run = settings(tiny_labels, tiny_encoder, tmp_path / name, epochs=5, patience=2)
    monkeypatch.setattr(ProgressCallback, "on_step_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_model(run)
    monkeypatch.setattr(ProgressCallback, "on_step_end", step_end)
    resumed = train_model(run)
    assert (resumed.best_epoch, resumed.epochs) == (1, 3)
    assert same_weights(tmp_path / "whole", tmp_path / "broken")


def test_other_weights_behind_the_same_path_are_another_run(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    train_model(settings(tiny_labels, tmp_path / "encoder", tmp_path / "m", epochs=1))
    shutil.copytree(tmp_path / "encoder", tmp_path / "moved")
    moved = train_model(settings(tiny_labels, tmp_path / "moved", tmp_path / "m", epochs=1))
    assert moved.already_there
    make_encoder(["alone cake"] * 5, tmp_path / "encoder", seed=7, hidden=32, layers=2)
    with pytest.raises(OutputError, match="other settings or labels"):
        train_model(settings(tiny_labels, tmp_path / "encoder", tmp_path / "m", epochs=1))


def test_a_last_batch_of_one_post_cannot_be_batch_normalised(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    make_labels(tmp_path / "labels", train=17, dev=4)
    with pytest.raises(SettingsError, match="there are 17 posts, got 16"):
        train_model(settings(tmp_path / "labels", tiny_encoder, tmp_path / "m", norm="batch"))


def test_a_finished_run_is_not_done_again_and_never_overwritten_unasked(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    first = train_model(settings(tiny_labels, tiny_encoder, tmp_path / "m", epochs=1))
    again = train_model(settings(tiny_labels, tiny_encoder, tmp_path / "m", epochs=1))
    assert again.already_there
    assert again.dev == first.dev
    other = settings(tiny_labels, tiny_encoder, tmp_path / "m", epochs=1, seed=5)
    with pytest.raises(OutputError, match="holds a model of other settings or labels"):
        train_model(other)
    before = weights(tmp_path / "m")
    train_model(
        settings(tiny_labels, tiny_encoder, tmp_path / "m", epochs=1, seed=5, overwrite=True)
    )
    assert any(bool((before[name] != new).any()) for name, new in weights(tmp_path / "m").items())


def test_a_foreign_folder_is_left_alone(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("precious")
    with pytest.raises(OutputError, match="exists and is not empty"):
        train_model(settings(tiny_labels, tiny_encoder, tmp_path / "thesis"))
    with pytest.raises(OutputError, match="was not made by"):
        train_model(settings(tiny_labels, tiny_encoder, tmp_path / "thesis", overwrite=True))
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "precious"


def test_without_a_dev_split_posts_are_held_out(tiny_encoder: Path, tmp_path: Path) -> None:
    save_rows(tiny_rows(40), tmp_path / "labels" / "train_set")
    run = settings(tmp_path / "labels", tiny_encoder, tmp_path / "m", dev_share=0.2)
    train, dev = training_splits(run, loneliness(), Silent())
    assert (len(train), len(dev)) == (32, 8)
    again = training_splits(run, loneliness(), Silent())
    assert again[1].texts == dev.texts
    command = [
        "train", "--labels", run.labels, "--encoder", run.encoder, "--out", str(run.out), "--max-tokens", "64",
        "--dev-share", "0.2", "--epochs", "1", "--threads", "1", "--precision", "fp32",
    ]  # fmt: skip
    for _ in range(2):  # when it is there already too
        told = CliRunner().invoke(main, command, catch_exceptions=False).stdout
        assert "held-out posts of train: there is no dev split" in told
        assert "--split dev" not in told
        assert "corpus-lonely score --input posts/ --model" in told
    card = (run.out / "README.md").read_text("utf-8")
    assert "On posts of the train split that were held out, which also chose" in card


def test_a_dev_split_without_lonely_posts_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    make_labels(tmp_path / "labels", train=8, dev=4)
    shutil.rmtree(tmp_path / "labels" / "dev_set")
    save_rows(tiny_rows(8)[1::2], tmp_path / "labels" / "dev_set")
    with pytest.raises(LabelsError, match=r"\(dev\): has no post with a duration label"):
        train_model(settings(tmp_path / "labels", tiny_encoder, tmp_path / "m"))


def test_labels_without_a_train_split(tiny_encoder: Path, tmp_path: Path) -> None:
    save_rows(tiny_rows(4), tmp_path / "labels" / "dev_set")
    with pytest.raises(LabelsError, match="has no train split; it has dev"):
        train_model(settings(tmp_path / "labels", tiny_encoder, tmp_path / "m"))


def test_more_tokens_than_the_encoder_has_positions(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="--max-tokens must be at most 256 for this bert"):
        train_model(settings(tiny_labels, tiny_encoder, tmp_path / "m", max_tokens=300))


def test_several_processes_are_refused(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match="runs in one process, and torchrun started several"):
        train_model(settings(tiny_labels, tiny_encoder, tmp_path / "m"))


def test_patience_stops_early(tiny_labels: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    still = settings(
        tiny_labels, tiny_encoder, tmp_path / "m", epochs=9, patience=1, learning_rate=1e-12,
        head_learning_rate=1e-12,
    )  # fmt: skip
    report = train_model(still)
    assert (report.best_epoch, report.epochs) == (1, 2)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"beta": 1.5}, "--beta must be from 0 to 1, got 1.5"),
        ({"epochs": 0}, "--epochs must be at least 1, got 0"),
        ({"learning_rate": 0}, "--learning-rate must be above 0, got 0"),
        ({"attention_dropout": 1}, "--attention-dropout must be from 0 to below 1, got 1"),
        ({"weight_decay": -1}, "--weight-decay must be at least 0, got -1"),
        ({"seed": -1}, r"--seed must be from 0 to 2\^32 - 1, got -1"),
        ({"threads": 0}, "--threads must be at least 1, got 0"),
        ({"warmup": 1.0}, "--warmup must be from 0 to below 1, got 1.0"),
        ({"norm": "batch", "batch_size": 1}, "--batch-size must be at least 2 with --norm batch"),
        ({"weighting": "best"}, "--weighting must be one of equal, learned, .*, got best"),
        ({"entropy": 0}, "--entropy must be above 0, got 0"),
        ({"output": "relu"}, "--output must be one of softmax, entmax15, sparsemax, got relu"),
        ({"output": "entmax15", "loss": "hellinger"}, "--loss must be kl with --output entmax15"),
        ({"layer_decay": 0}, "--layer-decay must be above 0 and at most 1, got 0"),
        ({"repeat_rare": 1}, "--repeat-rare must be from 0 to below 1, got 1"),
        ({"cut": "tail"}, "--cut must be one of head, head-tail, got tail"),
        ({"dev_share": 1.0}, "--dev-share must be above 0 and below 1, got 1.0"),
    ],
)
def test_settings_name_key_rule_and_value(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        settings(Path("l"), Path("e"), Path("o"), **wrong)


@pytest.mark.parametrize(
    "sparse",
    [
        {"output": "sparsemax", "beta": 1.0, "layer_decay": 0.8, "repeat_rare": 0.6, "cut": "head-tail"},
        {"threshold": True},
    ],
)  # fmt: skip
def test_a_sparse_model_gives_exact_zeros_and_dev_metrics_are_those_of_the_engine(
    sparse: dict[str, Any], tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    run = settings(
        tiny_labels, tiny_encoder, tmp_path / "m", max_tokens=12, calibrate=True, epochs=2, **sparse
    )
    report = train_model(run)
    engine = Engine.load(run.out, EngineSettings(device="cpu", precision="fp32"))
    dev = load_labels(str(tiny_labels), loneliness())["dev"]
    scores = engine.score(dev.texts)
    assert scores.truncated.any()
    assert (scores.probabilities_NL == 0).any()
    judged = evaluate(dev.targets, scores.probabilities_NL.astype(np.float64))
    for group, found in report.dev.items():
        for name, value in found.items():
            assert judged[group][name] == pytest.approx(value, abs=1e-4), (group, name)
    record = (run.out / "training.json").read_text("utf-8")
    assert "Infinity" not in record  # R and others read no such JSON
    card = (run.out / "README.md").read_text("utf-8")
    assert ("and the thresholds" in card) == ("threshold" in sparse)
    assert f"output: {run.output}" in card


def test_settings_that_came_later_leave_older_models_known(tmp_path: Path) -> None:
    plain = settings(Path("l"), Path("e"), tmp_path)
    assert (
        not {"output", "layer_decay", "repeat_rare", "cut", "threshold"} & plain.identity().keys()
    )
    other = settings(Path("l"), Path("e"), tmp_path, output="entmax15")
    assert other.identity()["output"] == "entmax15"
    assert plain.fingerprint("x") != other.fingerprint("x")


def test_the_decay_spares_biases_and_norms(tiny_labels: Path, tiny_encoder: Path, tmp_path: Path) -> None:  # fmt: skip
    run = settings(tiny_labels, tiny_encoder, tmp_path / "m", head_learning_rate=5e-3)
    train, _dev = training_splits(run, loneliness(), Silent())
    model, _tokenizer = trainer.make_network(run, train)
    weighting = make_weighting("learned", ["flat"], ["lonely"], "lonely", 0.5)
    groups = make_optimizer(run, model, weighting).param_groups
    assert (groups[-1]["lr"], groups[-1]["weight_decay"]) == (1e-2, 0.0)
    assert groups.pop()["params"] == list(weighting.parameters())
    assert sum(p.numel() for g in groups for p in g["params"]) == sum(
        p.numel() for p in model.parameters()
    )
    assert {(g["lr"], g["weight_decay"]) for g in groups} == {
        (1e-3, 0.01), (1e-3, 0.0), (5e-3, 0.01), (5e-3, 0.0),
    }  # fmt: skip
    assert all(p.ndim == 1 for g in groups if not g["weight_decay"] for p in g["params"])


def test_the_card_tells_what_the_model_is_and_nothing_of_this_machine(
    tiny_labels: Path, tiny_encoder: Path, tiny_model: Path
) -> None:
    card = (tiny_model / "README.md").read_text("utf-8")
    record = json.loads((tiny_model / "training.json").read_text("utf-8"))
    assert card.startswith("---\nlanguage: en\nlicense: other")
    assert "FIG-Loneliness" not in card  # these labels are not
    assert "kappa" not in card
    assert card.count("**fill in**") == 2
    assert "# HDLN on tiny" in card
    assert "48 posts to learn from and 16 to choose" in card
    for group, metrics in record["dev"].items():
        assert f"| {group} | {metrics['accuracy']:.4f} |" in card
    assert "no diagnosis of a person" in card
    assert str(tiny_labels.parent) not in card
    assert str(tiny_encoder.parent) not in card


def test_the_card_tells_of_fig_loneliness_where_the_labels_are_and_of_an_adapted_encoder(
    tmp_path: Path,
) -> None:
    record = {
        "settings": {"encoder": "/home/me/minilm", "inputs": ["/home/me/posts.parquet"]},
        "train": {"posts": 46224}, "perplexity": {"before": 47609.2, "after": 38.1},
    }  # fmt: skip
    (tmp_path / "adaptation.json").write_text(json.dumps(record), "utf-8")
    for labels in ("FIG-Loneliness/FIG-Loneliness", "/home/me/fig_loneliness"):
        run = settings(Path(labels), tmp_path, tmp_path / "m")
        card = model_card(run, loneliness(), {"train": 4, "dev": 2}, {}, 1.0)
        assert card.startswith("---\nlanguage: en\nlicense: cc-by-nc-4.0\n")
        assert "r/college" in card
        assert "Fleiss' kappa" in card
        assert "fill in" not in card
        assert (
            "The encoder is minilm, adapted to 46,224\n  unlabelled posts (posts.parquet;" in card
        )
        assert "/home/me" not in card
        assert "On the dev split, which" in card


def test_a_model_folder_can_be_moved(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "elsewhere")
    config = (tmp_path / "elsewhere" / "config.json").read_text()
    assert str(tiny_model.parent.parent) not in config
    Engine.load(tmp_path / "elsewhere").score(["alone"])
