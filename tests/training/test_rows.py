"""Names of rows: short, told from each other, and honest about how many models speak for a group."""

from typing import Any

import numpy as np

from corpus_lonely.training.experiment.rows import Names
from corpus_lonely.training.experiment.runs import Trained
from corpus_lonely.training.experiment.spec import System

GROUPS: Any = {"lonely": {}, "context": {}}


def system(name: str, seeds: int, groups: Any = GROUPS) -> Trained:
    return Trained(
        System(name, "plain"), np.zeros((seeds, 1, 21)), [groups] * seeds, tuple(range(seeds))
    )


A, B, C = (system(name, 3) for name in "ABC")
ALONE = system("A, lonely alone", 2, {"lonely": {}})


def mean(name: str) -> Trained:
    return Trained(System(name, "plain"), np.zeros((1, 1, 21)), [GROUPS])


def test_an_ensembles_name_is_short_and_tells_of_how_many_models_a_group_is_the_mean() -> None:
    names = Names({"all": [A, B, ALONE]}, seeds=3)
    assert names.name(mean("all")) == "A, B and 1 more"
    assert names.note(mean("all"), "lonely") == "mean of 2 models"
    assert names.note(mean("all"), "context") == "mean of 6 models"
    assert names.explained(["lonely", "context"]) == [
        "- A, B and 1 more: 8 models (A, 3 seeds; B, 3 seeds; A, lonely alone, 2 seeds). "
        "Asked for lonely 2, context 6."
    ]


def test_ensembles_are_told_from_each_other() -> None:
    names = Names({"1": [A, B, C], "2": [A, B, ALONE], "3": [A, B], "4": [A]}, seeds=3)
    told = [names.name(mean(name)) for name in "1234"]
    assert told == ["A, B and C", "A, B and A, lonely alone", "A and B", "A, joined"]


def test_a_system_that_lacks_seeds_says_so() -> None:
    names = Names({}, seeds=3)
    assert (names.name(A), names.note(A, "context")) == ("A", "")
    assert names.note(system("D", 1), "context") == "1 seed"
    assert names.note(system("D", 2), "context") == "2 seeds"
