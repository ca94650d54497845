"""Evaluation of a model on a labelled split."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from corpus_lonely.cli.main import main
from corpus_lonely.errors import LabelsError
from corpus_lonely.inference.engine import Engine, EngineSettings
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.training.evaluate import evaluate_model
from corpus_lonely.training.labels import load_labels
from tests.test_metrics import loop_metrics


def test_the_figures_are_those_of_a_plain_loop(tiny_model: Path, tiny_labels: Path) -> None:
    settings = EngineSettings(precision="fp32")
    found = evaluate_model(tiny_model, tiny_labels, "dev", settings)
    posts = load_labels(tiny_labels, loneliness())["dev"]
    predicted = Engine.load(tiny_model, settings).score(posts.texts).probabilities_NL
    lonely = posts.targets.values_NL[:, 1] == 1
    assert (found.posts, found.lonely_posts) == (16, 8)
    for category in loneliness().categories:
        part = loneliness().slices[category.name]
        plain = loop_metrics(
            posts.targets.values_NL[lonely][:, part], predicted[lonely][:, part].astype(float)
        )
        for name, value in plain.items():
            assert found.results[category.name][name] == pytest.approx(value, abs=1e-9)
    said = predicted[:, 1] > predicted[:, 0]
    assert found.results["lonely"]["accuracy"] == (said == lonely).mean()


def test_the_train_mean_comes_from_training(tiny_model: Path, tiny_labels: Path) -> None:
    found = evaluate_model(tiny_model, tiny_labels / "dev_set", "dev")
    train = load_labels(tiny_labels, loneliness())["train"].targets
    dev = load_labels(tiny_labels, loneliness())["dev"].targets
    context = loneliness().category_of("context")
    mean = train.group(context)[0].mean(axis=0)
    target = dev.group(context)[0]
    expected = np.minimum(target, mean).sum(axis=1).mean()
    assert found.baselines["train mean"]["context"]["intersection"] == pytest.approx(expected)


def test_a_split_that_is_not_there(tiny_model: Path, tiny_labels: Path) -> None:
    with pytest.raises(LabelsError, match="has no test split; it has train, dev"):
        evaluate_model(tiny_model, tiny_labels, "test")


def test_the_command_prints_tables_and_writes_json(
    tiny_model: Path, tiny_labels: Path, tmp_path: Path
) -> None:
    out = tmp_path / "dev.json"
    result = CliRunner().invoke(
        main,
        ["evaluate", "--model", str(tiny_model), "--labels", str(tiny_labels), "--out", str(out)],
    )
    assert result.exit_code == 0, result.output
    for expected in ("table 3", "table 4", "Baseline: uniform", "Best of any softmax", "Clark ↓"):
        assert expected in result.stdout
    written = json.loads(out.read_text())
    assert set(written["lonely"]) == {"accuracy", "precision", "recall", "f1"}
    for category in ("duration", "context", "interpersonal", "interaction"):
        assert {"accuracy", "clark", "canberra", "cosine", "intersection"} <= set(written[category])
    assert f"{written['duration']['clark']:.4f}" in result.stdout


def test_bad_input_gets_one_line_and_its_status(tiny_labels: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, status, problem in (
        (["--model", str(tmp_path / "empty")], 1, "is no model folder"),
        (["--model", str(tmp_path / "nowhere")], 1, "does not exist"),
        (["--model", "x", "--split", "all"], 2, "is not one of"),
    ):
        result = CliRunner().invoke(main, ["evaluate", "--labels", str(tiny_labels), *arguments])
        assert result.exit_code == status
        assert problem in result.stderr
        assert "Traceback" not in result.output
    assert len(result.stdout) == 0
