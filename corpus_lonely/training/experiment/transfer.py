"""What a group gains from the others' company: learnt together, less learnt alone, with the same seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from corpus_lonely import metrics
from corpus_lonely.taxonomy import Taxonomy
from corpus_lonely.training.experiment.runs import Trained

Scores = dict[str, dict[str, float]]
"""What was learnt, to each group's score; NaN where the group was not learnt."""


def scores(together: Trained, alone: Mapping[str, Trained], taxonomy: Taxonomy) -> Scores:
    """The score of every group, the mean over the seeds: learnt with all others, and each alone.

    alone: the system that learnt a group and no other, by the group's name.
    """
    rows: Scores = {"all together": {}}
    for group, entry in alone.items():
        both, single = shared_seeds(together, entry)
        rows["all together"][group] = _score(both, group, taxonomy)
        rows[f"{group} alone"] = {
            name: _score(single, name, taxonomy) if name in single.results[0] else math.nan
            for name in alone
        }
    return rows


def _score(entry: Trained, group: str, taxonomy: Taxonomy) -> float:
    found = [metrics.selection_score({group: one[group]}, taxonomy) for one in entry.results]
    return sum(found) / len(found)


def shared_seeds(one: Trained, other: Trained) -> tuple[Trained, Trained]:
    """Both with the seeds that both have; as they are where they share none."""
    both = [seed for seed in one.seeds if seed in other.seeds]
    return (_only(one, both), _only(other, both)) if both else (one, other)


def _only(entry: Trained, seeds: Sequence[int]) -> Trained:
    places = [entry.seeds.index(seed) for seed in seeds]
    results = [entry.results[place] for place in places]
    return replace(
        entry, predicted_SNL=entry.predicted_SNL[places], results=results, seeds=tuple(seeds)
    )
