"""Figures of training and experiments: what their axes and colours say."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from corpus_lonely.training import curve
from corpus_lonely.training.experiment import figures


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    found: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *arguments: Any, **named: Any) -> None:
        found.append(self)
        save(self, *arguments, **named)

    monkeypatch.setattr(Figure, "savefig", keep)
    return found


def history(epochs: int, groups: tuple[str, ...] = ("lonely", "context")) -> list[dict[str, Any]]:
    scores = {f"eval_{group}.accuracy": 0.9 for group in groups}
    return [
        {
            "epoch": float(n + 1),
            "eval_loss": 1.0 / (n + 1),
            "eval_selection": 0.5 + n / 10,
            **scores,
        }
        for n in range(epochs)
    ]


def test_epochs_are_whole_and_losses_of_another_kind_have_their_own_axes(
    drawn: list[Figure], tmp_path: Path
) -> None:
    courses = {f"S{n} (2 seeds)": [history(2), history(3)] for n in range(9)}
    losses = dict.fromkeys(courses, "Loss, eq. 1 (KL)")
    losses["S8 (2 seeds)"] = "Loss, eq. 1 (Fenchel-Young)"
    figures.draw_learning(courses, losses, tmp_path / "learning.png")
    (figure,) = drawn
    plain, sparse, score = figure.axes
    assert [len(axes.lines) for axes in figure.axes] == [8, 1, 9]
    assert (plain.get_ylabel(), sparse.get_ylabel()) == tuple(dict.fromkeys(losses.values()))
    assert list(plain.lines[0].get_xdata()) == [1, 2]  # type: ignore[arg-type]
    assert "all seeds" in score.get_xlabel()
    for axes in figure.axes:
        assert all(tick == int(tick) for tick in axes.get_xticks())
    (legend,) = figure.legends  # beside the axes, not over their curves
    assert len(legend.get_texts()) == 9
    assert all(axes.get_legend() is None for axes in figure.axes)


def test_a_small_difference_looks_small(drawn: list[Figure], tmp_path: Path) -> None:
    rows = {"all together": {"lonely": 0.968}, "lonely alone": {"lonely": 0.972}}
    figures.draw_transfer(rows, tmp_path / "transfer.png", "test")
    (axes,) = drawn[0].axes
    (image,) = axes.images
    assert image.norm.vmax == 0.02
    assert abs(float(image.get_array()[0, 0])) == pytest.approx(0.002)  # type: ignore[index]
    assert axes.get_title(loc="left") == "Score of a group on test, by what was learnt"


@pytest.mark.parametrize(
    ("groups", "told"), [(("lonely", "context"), "mean of 2 groups"), (("context",), "context")]
)
def test_a_models_curve_says_what_its_score_is_of(
    drawn: list[Figure], tmp_path: Path, groups: tuple[str, ...], told: str
) -> None:
    curve.draw_curve(history(2, groups), tmp_path / "training.png")
    assert drawn[0].axes[1].get_ylabel() == f"Score ({told})"
    assert all(tick == int(tick) for tick in drawn[0].axes[1].get_xticks())
