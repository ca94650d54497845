"""Training under each weighting: what is recorded, what surgery does to gradients, resumed runs."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click import Choice

from corpus_lonely.cli.train import train as command
from corpus_lonely.errors import SettingsError
from corpus_lonely.model.network import LonelinessModel
from corpus_lonely.model.weighting import make_weighting
from corpus_lonely.progress import Silent
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.training.callback import ProgressCallback
from corpus_lonely.training.curve import weight_panels
from corpus_lonely.training.evaluate import evaluate_model
from corpus_lonely.training.settings import WEIGHTINGS
from corpus_lonely.training.splits import training_splits
from corpus_lonely.training.train import train_model
from corpus_lonely.training.trainer import make_trainer
from tests.training.test_train import same_weights, settings

GROUPS = ["lonely", "duration", "context", "interpersonal", "interaction"]


def history(model: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((model / "training.json").read_text())["history"]
    return found


def test_the_command_offers_every_weighting() -> None:
    (option,) = [p for p in command.params if p.name == "weighting"]
    assert isinstance(option.type, Choice)
    assert tuple(option.type.choices) == WEIGHTINGS
    for name in WEIGHTINGS:
        make_weighting(name, ["flat"], GROUPS, "lonely", 0.5)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_every_weighting_trains_and_tells_its_weights(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path, name: str
) -> None:
    run = settings(
        tiny_labels, tiny_encoder, tmp_path / "m", weighting=name, epochs=4, batch_size=4
    )
    report = train_model(run)
    assert report.dev["lonely"]["f1"] > 0.9
    panels = weight_panels(history(tmp_path / "m"))
    expected = {
        "equal": set(), "learned": {"global", "local", "heads"},
        "learned-entropy": {"global", "local", "heads"},
    }.get(name, {"groups"})  # fmt: skip
    assert set(panels) == expected
    assert (tmp_path / "m" / "weights.png").exists() == bool(expected)
    for lines in panels.values():
        for shares in zip(*lines.values(), strict=True):
            assert sum(shares) == pytest.approx(1, abs=1e-5)
    # weights are no part of the model: it loads as any other, with nothing left over
    loaded: Any = LonelinessModel.from_pretrained(tmp_path / "m", output_loading_info=True)
    told = loaded[1]
    assert not told["unexpected_keys"]
    assert not told["missing_keys"]


@pytest.mark.parametrize("loss", ["kl", "cross-entropy"])
def test_learned_weights_move(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path, loss: str
) -> None:
    run = settings(
        tiny_labels, tiny_encoder, tmp_path / "m", weighting="learned", epochs=8,
        weighting_learning_rate=0.1, head="mlp", loss=loss, patience=8,
    )  # fmt: skip
    train_model(run)
    (flat,) = weight_panels(history(tmp_path / "m")).values()
    assert flat["lonely"][-1] == max(shares[-1] for shares in flat.values())
    assert flat["lonely"][-1] > flat["lonely"][0]


def test_dev_is_judged_by_eq_1_whatever_the_weighting(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    still: dict[str, Any] = {
        "epochs": 1, "learning_rate": 1e-12, "head_learning_rate": 1e-12,
        "weighting_learning_rate": 1.0,
    }  # fmt: skip
    losses = []
    for name in ("equal", "learned", "uncertainty"):
        train_model(settings(tiny_labels, tiny_encoder, tmp_path / name, weighting=name, **still))
        losses += [e["eval_loss"] for e in history(tmp_path / name) if "eval_loss" in e]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


@pytest.mark.parametrize("name", ["learned-entropy", "dwa", "pcgrad"])
def test_an_interrupted_run_ends_with_the_weights_of_an_undisturbed_one(
    tiny_labels: Path,
    tiny_encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    def run(out: str) -> Any:
        return settings(tiny_labels, tiny_encoder, tmp_path / out, weighting=name, epochs=4)

    train_model(run("whole"))
    step_end = ProgressCallback.on_step_end

    def interrupt(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 10:  # in the fourth epoch of three steps each
            raise KeyboardInterrupt
        step_end(self, args, state, control, **kwargs)

    monkeypatch.setattr(ProgressCallback, "on_step_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_model(run("broken"))
    monkeypatch.setattr(ProgressCallback, "on_step_end", step_end)
    train_model(run("broken"))
    assert same_weights(tmp_path / "whole", tmp_path / "broken")
    assert weight_panels(history(tmp_path / "whole")) == weight_panels(history(tmp_path / "broken"))


def test_surgery_without_a_conflict_is_eq_1_and_takes_conflicts_out(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    run = settings(tiny_labels, tiny_encoder, tmp_path / "m", weighting="pcgrad", head_dropout=0.0)
    train, dev = training_splits(run, loneliness(), Silent())
    trainer = make_trainer(run, train, dev, tmp_path / "c", Silent())
    network: Any = trainer.model
    network.config.hidden_dropout_prob = 0.0
    for layer in network.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    batch = trainer.data_collator([trainer.train_dataset[row] for row in range(8)])  # type: ignore[index]
    trainer.create_optimizer()

    torch.manual_seed(0)
    trainer.training_step(network, dict(batch))
    operated = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
    by_group = []
    shares = [1.0, 0.25, 0.25, 0.25, 0.25]
    for place, share in enumerate(shares):
        network.zero_grad()
        losses_HG = network(**batch).losses
        (losses_HG.mean(dim=0)[place] * share).backward()
        by_group.append(
            torch.cat([p.grad.flatten() for n, p in network.named_parameters() if n.startswith("encoder.") and p.grad is not None])
        )  # fmt: skip
    torch.manual_seed(0)
    expected = _pcgrad(torch.stack(by_group))
    found = torch.cat([g.flatten() for n, g in operated.items() if n.startswith("encoder.")])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)

    # the head's gradients are those of the plain sum
    network.zero_grad()
    network(**batch).loss.backward()
    for name, weight in network.named_parameters():
        if name.startswith("head.") and weight.grad is not None:
            torch.testing.assert_close(operated[name], weight.grad, rtol=1e-4, atol=1e-7)


def _pcgrad(gradients_GP: torch.Tensor) -> torch.Tensor:
    """Yu et al., NeurIPS 2020, algorithm 1, on the gradients themselves."""
    total = torch.zeros_like(gradients_GP[0])
    for i in range(len(gradients_GP)):
        order = torch.randperm(len(gradients_GP))
        own = gradients_GP[i].clone()
        for j in order.tolist():
            if j != i and (dot := own @ gradients_GP[j]) < 0:
                own -= dot / (gradients_GP[j] @ gradients_GP[j]) * gradients_GP[j]
        total += own
    return total


def test_only_one_group_is_learnt_and_judged(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    run = settings(tiny_labels, tiny_encoder, tmp_path / "m", only=("context",))
    train, _dev = training_splits(run, loneliness(), Silent())
    assert (
        len(train) == 48
    )  # as many steps as with all groups, though half of the posts have no context
    report = train_model(run)
    assert set(report.dev) == {"context"}
    assert set(evaluate_model(tmp_path / "m", tiny_labels).results) == {"context"}
    whole: Any = LonelinessModel.from_pretrained(tmp_path / "m")
    assert list(whole.learnt) == ["context"]


def test_only_moves_nothing_of_the_groups_left_out(
    tiny_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    def heads(out: str, epochs: int) -> dict[str, torch.Tensor]:
        run = settings(
            tiny_labels, tiny_encoder, tmp_path / out, only=("context",), epochs=epochs,
            weight_decay=0.0,
        )  # fmt: skip
        train_model(run)
        return LonelinessModel.from_pretrained(tmp_path / out).head.state_dict()

    one, three = heads("one", 1), heads("three", 3)
    assert torch.equal(one["local_outs.duration.weight"], three["local_outs.duration.weight"])
    assert not torch.equal(one["local_outs.context.weight"], three["local_outs.context.weight"])


def test_a_group_that_is_none(tiny_labels: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--only must be one of lonely, .*, got mood"):
        train_model(settings(tiny_labels, tiny_encoder, tmp_path / "m", only=("mood",)))
