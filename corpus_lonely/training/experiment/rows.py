"""The rows of an experiment's tables: ours, the paper's, guesses and floors, each named as it is printed."""

import math
from collections.abc import Iterable, Mapping, Sequence

from corpus_lonely import metrics
from corpus_lonely.metrics import Array, Targets
from corpus_lonely.model.ensemble import asked
from corpus_lonely.training.experiment.compare import mean_results
from corpus_lonely.training.experiment.runs import Trained
from corpus_lonely.training.experiment.spec import paper
from corpus_lonely.training.experiment.tables import Cell, Row

_NAMES = 2
"""Of an ensemble's systems that are printed, unless several ensembles would then be called the same."""


class Names:
    """What systems and means of systems are called in tables."""

    def __init__(self, members: Mapping[str, Sequence[Trained]], seeds: int) -> None:
        """members: of each ensemble, by its whole name; seeds: how many a whole system has."""
        self._members, self._seeds = members, seeds
        self._short = _short_names(
            {name: [member.system.name for member in some] for name, some in members.items()}
        )

    def name(self, entry: Trained) -> str:
        """Short, and told from all others."""
        return self._short.get(entry.system.name, entry.system.name)

    def note(self, entry: Trained, group: str) -> str:
        """How many seeds it has where these are not all; of an ensemble, of how many models the group is the mean."""
        members = self._members.get(entry.system.name)
        if members is not None:
            return f"mean of {self.models(members, group)} models"
        count = len(entry.seeds)
        return "" if count == self._seeds else seeds_told(count)

    def models(self, members: Sequence[Trained], group: str) -> int:
        """How many models are asked for the group: those that learnt it with the fewest others."""
        some = asked([member.results[0] for member in members], group)
        return sum(len(members[place].predicted_SNL) for place in some)

    def explained(self, groups: Iterable[str]) -> list[str]:
        """A line for each ensemble: its systems, and of how many models each group is the mean."""
        lines = []
        for name, members in self._members.items():
            whole = sum(len(member.predicted_SNL) for member in members)
            told = ", ".join(f"{group} {self.models(members, group)}" for group in groups)
            systems = "; ".join(
                f"{member.system.name}, {seeds_told(len(member.predicted_SNL))}"
                for member in members
            )
            lines.append(f"- {self._short[name]}: {whole} models ({systems}). Asked for {told}.")
        return lines


def _short_names(systems: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Whole name to a short one that no other has."""
    shown = dict.fromkeys(systems, _NAMES)
    while True:
        short = {name: _short(systems[name], count) for name, count in shown.items()}
        told = list(short.values())
        again = [
            name for name in shown
            if told.count(short[name]) > 1 and shown[name] < len(systems[name])
        ]  # fmt: skip
        if not again:
            return short
        for name in again:
            shown[name] += 1


def _short(names: Sequence[str], count: int) -> str:
    more = len(names) - count
    if len(names) == 1:
        return f"{names[0]}, joined"
    told = [*names[:count], f"{more} more"] if more > 0 else names
    return f"{', '.join(told[:-1])} and {told[-1]}"


def seeds_told(count: int) -> str:
    """So many seeds, in words."""
    return f"{count} seed{'' if count == 1 else 's'}"


def rows_of(
    group: str, systems: Sequence[Trained], names: Names, targets: Targets, train_means_L: Array
) -> list[Row]:
    """One block: each of our systems behind the paper's row of it, then guesses and floors."""
    rows = []
    for entry in systems:
        if entry.system.paper:
            theirs = paper()[entry.system.paper]
            cells: dict[str, Cell] = {name: (a, b) for name, (a, b) in theirs[group].items()}
            rows.append(Row(f"Paper: {theirs['title']}", cells, ours=False))
        if group in entry.results[0]:
            cells = mean_results(entry.results)[group]
            rows.append(Row(names.name(entry), cells, note=names.note(entry, group)))
    for name, results in metrics.baselines(targets, train_means_L).items():
        if group in results:
            rows.append(Row(f"Guess: {name}", _certain(results[group]), ours=False))
    if group != targets.taxonomy.root.name:
        floors = metrics.floors(targets)[group]
        rows.append(Row("Best of any softmax", _certain(floors), ours=False))
    return rows


def _certain(values: Mapping[str, float]) -> dict[str, Cell]:
    return {name: (value, math.nan) for name, value in values.items()}
