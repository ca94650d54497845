"""An ensemble gives the mean of what its members give, and is a model folder like theirs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from corpus_lonely.cli.main import main
from corpus_lonely.errors import ModelError, OutputError, SettingsError
from corpus_lonely.inference.engine import Engine, EngineSettings
from corpus_lonely.model.ensemble import asked
from corpus_lonely.training.ensemble import make_ensemble
from corpus_lonely.training.evaluate import evaluate_model
from corpus_lonely.training.settings import TrainSettings
from corpus_lonely.training.train import train_model
from tests.tiny import tiny_rows

EXACT = EngineSettings(device="cpu", precision="fp32", threads=1)
TEXTS = [row["text"] for row in tiny_rows(40, seed=5)]


@pytest.fixture(scope="module")
def models(
    tiny_labels: Path,
    tiny_encoder: Path,
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Path]:
    other = tmp_path_factory.mktemp("ensemble") / "other"
    train_model(
        TrainSettings(
            str(tiny_labels), str(tiny_encoder), other, epochs=1, max_tokens=64, head="mlp",
            output="entmax15", learning_rate=1e-3, seed=1,
        )
    )  # fmt: skip
    return [tiny_model, other]


def test_it_gives_the_mean_of_its_members(
    models: list[Path], tiny_labels: Path, tmp_path: Path
) -> None:
    out = tmp_path / "both"
    command = ["ensemble", "--model", str(models[0]), "--model", str(models[1]), "--out", str(out)]
    told = CliRunner().invoke(main, command, catch_exceptions=False)
    assert f"Model {out} made of 2 models" in told.output
    each = [Engine.load(model, EXACT).score(TEXTS).probabilities_NL for model in models]
    joined = Engine.load(out, EXACT).score(TEXTS).probabilities_NL
    np.testing.assert_allclose(joined, np.mean(each, axis=0), atol=1e-6)
    assert np.abs(each[0] - each[1]).max() > 0.05
    # what stands on a model folder takes it
    evaluation = evaluate_model(out, tiny_labels, "dev", EXACT)
    assert evaluation.posts == 16
    assert set(evaluation.results) == {
        "lonely",
        "duration",
        "context",
        "interpersonal",
        "interaction",
    }
    record = json.loads((out / "ensemble.json").read_text("utf-8"))
    assert [member["name"] for member in record["members"]] == ["tiny", "other"]
    card = (out / "README.md").read_text("utf-8")
    assert "no diagnosis of a person" in card
    settings = [
        json.loads((one / "training.json").read_text("utf-8"))["settings"] for one in models
    ]
    prints = [member["fingerprint"] for member in record["members"]]
    groups = "lonely, duration, context, interpersonal, interaction"
    assert (
        f"| 1 | tiny | hdln | {settings[0]['encoder']} | softmax | equal | 0 | {groups} | {prints[0][:12]} |"
        in card
    )
    assert (
        f"| 2 | other | mlp | {settings[1]['encoder']} | entmax15 | equal | 1 | {groups} | {prints[1][:12]} |"
        in card
    )
    assert "- duration: the mean of model 1, 2" in card
    dev = json.loads((models[1] / "training.json").read_text("utf-8"))["dev"]
    assert (
        f"| 2 | {dev['lonely']['f1']:.4f} | {dev['lonely']['accuracy']:.4f} | {dev['duration']['accuracy']:.4f} |"
        in card
    )
    assert f"- Labels: {settings[0]['labels']}. " in card
    assert "English only" in card
    assert card.count("**fill in**") == 2
    assert str(tmp_path.parent) not in card + json.dumps(record)
    again = CliRunner().invoke(main, command, catch_exceptions=False)
    assert "is there already" in again.output


def test_each_group_is_of_those_that_learnt_it_with_the_fewest_others(
    models: list[Path], tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    for group in ("lonely", "duration"):
        train_model(
            TrainSettings(
                str(tiny_labels), str(tiny_encoder), tmp_path / group, epochs=1, max_tokens=64,
                learning_rate=1e-3, only=(group,),
            )
        )  # fmt: skip
    make_ensemble([models[0], tmp_path / "lonely"], tmp_path / "both")
    card = (tmp_path / "both" / "README.md").read_text("utf-8")
    assert "- lonely: the mean of model 2\n- duration: the mean of model 1\n" in card
    folders = [models[0], tmp_path / "lonely", tmp_path / "both"]
    whole, alone, both = (Engine.load(one, EXACT).score(TEXTS).probabilities_NL for one in folders)
    np.testing.assert_allclose(both[:, :2], alone[:, :2], atol=1e-6)
    np.testing.assert_allclose(both[:, 2:], whole[:, 2:], atol=1e-6)
    assert np.abs(whole - alone)[:, :2].max() > 0.01
    assert len(evaluate_model(tmp_path / "both", tiny_labels, "dev", EXACT).results) == 5
    make_ensemble([tmp_path / "lonely", tmp_path / "duration"], tmp_path / "two")
    two = evaluate_model(tmp_path / "two", tiny_labels, "dev", EXACT)
    assert set(two.results) == {"lonely", "duration"}


def test_who_is_asked_for_a_group() -> None:
    learnt = [{"a", "b", "c"}, {"a", "b"}, {"a", "b", "c"}, {"b", "a"}, {"c"}]
    assert [asked(learnt, group) for group in "abcd"] == [[1, 3], [1, 3], [4], [0, 1, 2, 3, 4]]


def test_what_cannot_be_joined_is_refused(models: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(SettingsError, match="--model must be given twice or more, got 1"):
        make_ensemble(models[:1], out)
    copy = shutil.copytree(models[0], tmp_path / "copy")
    with pytest.raises(ModelError, match="copy: is the same model as another one of these"):
        make_ensemble([models[0], copy], out)
    config = json.loads((copy / "config.json").read_text("utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "max_tokens": 32}), "utf-8")
    with pytest.raises(ModelError, match=r"copy: has another max_tokens than .*\(32 and 64\)"):
        make_ensemble([models[0], copy], out)
    tokenizer = json.loads((copy / "tokenizer.json").read_text("utf-8"))
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1), "utf-8")
    with pytest.raises(ModelError, match="copy: has another tokenizer than"):
        make_ensemble([models[0], copy], out)
    assert not out.exists()
    make_ensemble(models, out)
    with pytest.raises(ModelError, match="out: is an ensemble itself"):
        make_ensemble([models[0], out], tmp_path / "more")
    with pytest.raises(OutputError, match="was not made by `corpus-lonely ensemble`"):
        make_ensemble(models, models[0], overwrite=True)
