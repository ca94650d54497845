"""An experiment's file: whatever is wrong in it is refused at once, in one line that names the key."""

from pathlib import Path
from typing import Any

import pytest

from corpus_lonely.errors import SettingsError
from corpus_lonely.training.experiment.file import make_experiment, read_experiment

PLAIN: dict[str, Any] = {
    "labels": "labels/", "encoders": {"plain": "e"}, "systems": [{"name": "A", "head": "mlp"}],
}  # fmt: skip


def adapted(**options: Any) -> dict[str, Any]:
    return {"encoders": {"adapted": {"adapt": "e", "input": ["posts/"], **options}}}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"encoders": "minilm"}, "encoders must be a table, got 'minilm'"),
        ({"encoders": {"plain": ""}}, "encoders.plain must be a model's name"),
        ({"train": "x"}, "train must be a table, got 'x'"),
        ({"systems": 3}, "systems must be a list of tables, got 3"),
        ({"systems": [{"name": 3}]}, "must have a text for its name, got 3"),
        ({"systems": [{"name": "A", "encoder": ["plain"]}]}, "encoder must be one of plain, got"),
        ({"systems": [{"name": "A", "paper": ["mlp"]}]}, "paper must be one of mlp, hdln"),
        ({"labels": 3}, "labels must be a text, got 3"),
        ({"seeds": [True]}, r"seeds must be whole numbers, none twice, got \[True\]"),
        ({"seeds": [[1]]}, r"seeds must be whole numbers, none twice, got \[\[1\]\]"),
        ({"replicates": 200.0}, "replicates must be a whole number, got 200.0"),
        ({"ensembles": [["A", "A"]]}, r"ensembles must name each system once, got \['A', 'A'\]"),
        ({"ensembles": ["A", ["A"]]}, r"ensembles must name each system once, got \['A'\]"),
        (
            {"systems": [{"name": "A"}, {"name": "A, lonely alone"}], "transfer": ["A"]},
            "system 'A, lonely alone': its name stands twice",
        ),
        ({"train": {"only": ["duratoin"]}}, "system 'A': only must be one of lonely, duration, .*"),
        ({"train": {"rejoin": "no"}}, "system 'A': rejoin must be true or false, got 'no'"),
        ({"train": {"head-size": 12.5}}, "head-size must be a whole number, got 12.5"),
        ({"train": {"epochs": True}}, "epochs must be a whole number, got True"),
        ({"train": {"learning-rate": True}}, "learning-rate must be a finite number, got True"),
        ({"train": {"loss": "hellinger", "output": "entmax15"}}, "loss must be kl with output ent"),
        (
            {"train": {"learning-rate": 1e-3, "learning_rate": 1e-4}},
            r"\[train\]: learning_rate stands twice, written in two ways",
        ),
        ({"encoders": {"x": {"adapt": "e"}}}, "encoders.x: input is missing"),
        (adapted(inputs=["p"]), "encoders.adapted: inputs stands twice"),
        (adapted(input=[3]), r"encoders.adapted: input must be a list of texts, got \(3,\)"),
        (adapted(**{"head-only": "false"}), "encoders.adapted: head-only must be true or false"),
        (adapted(precision="bf-16"), "precision must be one of auto, bf16, fp32, got bf-16"),
        (adapted(**{"max-tokens": 64.0}), "max-tokens must be a whole number, got 64.0"),
        (adapted(**{"max-posts": "all"}), "max-posts must be a whole number, got 'all'"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        make_experiment({**PLAIN, **change})
    assert "\n" not in str(caught.value)
    assert "--" not in str(caught.value)


def test_whole_numbers_stand_for_any() -> None:
    experiment = make_experiment({**PLAIN, "train": {"weight-decay": 0}, **adapted(warmup=0)})
    assert experiment.train == {"weight_decay": 0}


def test_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_text('labels = "l"\nencoders = "minilm"\nsystems = []\n')
    with pytest.raises(SettingsError, match=r"e\.toml: encoders must be a table, got 'minilm'"):
        read_experiment(path)
