"""What an experiment writes: the paper's tables, differences, transfer, figures, and a page of them all."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from corpus_lonely import metrics
from corpus_lonely.files import atomic_path, write_json
from corpus_lonely.metrics import BINARY_METRICS, DISTRIBUTION_METRICS, Array
from corpus_lonely.training.curve import draw_weights, weight_panels
from corpus_lonely.training.experiment import figures, tables
from corpus_lonely.training.experiment.compare import (
    Difference,
    differences,
    mean_results,
)
from corpus_lonely.training.experiment.runs import Trained, alone, averaged
from corpus_lonely.training.experiment.spec import Experiment, paper
from corpus_lonely.training.experiment.tables import Block, Cell, Row, Table
from corpus_lonely.training.labels import LabelledPosts

_SHOWN = ("f1", "accuracy", "cosine", "intersection", "js")
"""Metrics of the page's differences; the CSV has all."""


class Report:
    """Tables, figures and a page of an experiment, or of what is done of it."""

    def __init__(
        self,
        experiment: Experiment,
        posts: LabelledPosts,
        train_means_L: Array,
        trained: list[Trained],
        out: Path,
    ) -> None:
        self._experiment, self._posts, self._out = experiment, posts, out
        self._train_means_L = train_means_L
        self._by_name = {entry.system.name: entry for entry in trained}
        self._systems = list(self._with_ensembles())
        self._taxonomy = posts.targets.taxonomy

    def _with_ensembles(self) -> Iterator[Trained]:
        """The systems, behind each the mean of its seeds where that is asked for, and last the means of several."""
        ensembles = self._experiment.ensembles
        for system in self._experiment.systems:
            yield self._by_name[system.name]
            if (system.name,) in ensembles:
                yield from self._mean((system.name,))
        for names in ensembles:
            if len(names) > 1:
                yield from self._mean(names)

    def _mean(self, names: Sequence[str]) -> Iterator[Trained]:
        members = [self._by_name[name] for name in names]
        if sum(len(member.predicted_SNL) for member in members) > 1:
            mean = averaged(members, self._posts)
            self._by_name[mean.system.name] = mean
            yield mean

    def write(self) -> Path:
        """Writes everything; returns the page."""
        compared = self._compared()
        transfer = self._transfer()
        pieces = [self._head()]
        for number, table in ((3, self._table_3()), (4, self._table_4())):
            pieces.append(tables.markdown(table))
            self._text(f"tables/table-{number}.md", tables.markdown(table))
            self._text(f"tables/table-{number}.csv", tables.tidy(table))
            self._text(f"tables/table-{number}.tex", tables.latex(table))
        if compared:
            pieces.append(self._differences(compared))
        if transfer:
            pieces.append(self._write_transfer(transfer))
        pieces.append(self._draw())
        write_json(self._out / "results.json", self._plain())
        self._text("report.md", "\n".join(pieces))
        return self._out / "report.md"

    def _head(self) -> str:
        lonely = int(self._posts.targets.group(self._taxonomy.categories[0])[1].sum())
        seeds = ", ".join(map(str, self._experiment.seeds))
        lacking = self._lacking()
        return "\n".join(
            [
                f"# Results on the {self._experiment.split} split",
                "",
                f"{len(self._posts):,} posts; the categories are judged on the {lonely:,} truly lonely ones, "
                "whatever was predicted. Mean ± standard deviation (n - 1) over "
                f"seeds {seeds}; bold is the best of our rows of several seeds. {_flatters(self._experiment)}"
                "The paper's rows are of its test split.",
                "",
                *(
                    [f"**Not all runs are done.** Seeds so far: {'; '.join(lacking)}.", ""]
                    if lacking
                    else []
                ),
            ]
        )

    def _lacking(self) -> list[str]:
        """Systems that lack seeds, with those that they have."""
        return [
            f"{name}: {', '.join(map(str, entry.seeds))}"
            for name, entry in self._by_name.items()
            if entry.histories and set(entry.seeds) != set(self._experiment.seeds)
        ]

    def _table_3(self) -> Table:
        root = self._taxonomy.root.name
        block = Block(root.capitalize(), tuple(self._rows(root)))
        return Table("Lonely or not, as the paper's table 3", BINARY_METRICS, (block,))

    def _table_4(self) -> Table:
        blocks = tuple(
            Block(category.name.capitalize(), tuple(self._rows(category.name)))
            for category in self._taxonomy.categories
        )
        caption = "Fine-grained distributions, as the paper's table 4, with KL and JS in nats"
        return Table(caption, DISTRIBUTION_METRICS, blocks)

    def _rows(self, group: str) -> list[Row]:
        rows = []
        for entry in self._systems:
            if entry.system.paper:
                theirs = paper()[entry.system.paper]
                cells: dict[str, Cell] = {name: (a, b) for name, (a, b) in theirs[group].items()}
                rows.append(Row(f"Paper: {theirs['title']}", cells, ours=False))
            if group in entry.results[0]:
                cells = mean_results(entry.results)[group]
                rows.append(Row(entry.system.name, cells, note=self._seeds_told(entry)))
        for name, results in metrics.baselines(self._posts.targets, self._train_means_L).items():
            rows.append(Row(f"Guess: {name}", _certain(results[group]), ours=False))
        if group != self._taxonomy.root.name:
            floors = metrics.floors(self._posts.targets)[group]
            rows.append(Row("Best of any softmax", _certain(floors), ours=False))
        return rows

    def _seeds_told(self, entry: Trained) -> str:
        """How many seeds it has, where these are not all."""
        count = len(entry.seeds)
        return "" if count in (0, len(self._experiment.seeds)) else _seeds(count)

    def _compared(self) -> dict[str, list[Difference]]:
        baseline = self._by_name[self._experiment.baseline]
        return {
            entry.system.name: self._against(entry, baseline)
            for entry in self._systems
            if entry is not baseline
        }

    def _against(self, entry: Trained, baseline: Trained) -> list[Difference]:
        groups = [group for group in baseline.results[0] if group in entry.results[0]]
        return differences(
            self._posts.targets,
            entry.predicted_SNL,
            baseline.predicted_SNL,
            groups,
            self._experiment.replicates,
        )

    def _differences(self, compared: dict[str, list[Difference]]) -> str:
        self._text("tables/differences.csv", tables.differences_csv(compared))
        return "\n".join(
            [
                f"## Less {self._experiment.baseline}",
                "",
                "Differences with 95 % intervals over posts (a paired bootstrap, "
                f"{self._experiment.replicates:,} replicates) and over seeds (by their spread, of which so few tell "
                "little: intervals are wide); bold where they leave 0 out. Of so many intervals some miss by chance. "
                'Rows "over posts alone" have one seed, or one mean of models, on a side: what another seed would '
                "change is not in their intervals, and they are never bold.",
                "",
                tables.differences_markdown(compared, _SHOWN),
            ]
        )

    def _transfer(self) -> dict[str, dict[str, dict[str, float]]]:
        """System to what was learnt to each group's score, the mean over the seeds."""
        found = {}
        for name in self._experiment.transfer:
            together = self._by_name[name]
            rows: dict[str, dict[str, float]] = {"all together": {}}
            for group in self._taxonomy.groups:
                entry = self._by_name[alone(together.system, group.name).name]
                both, entry = shared_seeds(together, entry)
                rows["all together"][group.name] = self._scores(both)[group.name]
                rows[f"{group.name} alone"] = self._scores(entry)
            found[name] = rows
        return found

    def _scores(self, entry: Trained) -> dict[str, float]:
        """Of each group in which the system has learnt something."""
        by_seed = [
            {g: metrics.selection_score({g: v}, self._taxonomy) for g, v in one.items()}
            for one in entry.results
        ]
        return {g: sum(one[g] for one in by_seed) / len(by_seed) for g in by_seed[0]}

    def _write_transfer(self, transfer: dict[str, dict[str, dict[str, float]]]) -> str:
        groups = [group.name for group in self._taxonomy.groups]
        pieces = []
        for name, rows in transfer.items():
            together = self._by_name[name]
            gained = {
                group: self._against(
                    *shared_seeds(together, self._by_name[alone(together.system, group).name])
                )
                for group in groups
            }
            slug = together.system.slug
            full = {
                learnt: {group: scores.get(group, math.nan) for group in groups}
                for learnt, scores in rows.items()
            }
            figures.draw_transfer(full, self._figure(f"transfer-{slug}.png"))
            self._text(f"tables/transfer-{slug}.csv", tables.differences_csv(gained))
            pieces += [
                f"## Transfer: {name}",
                "",
                "Each group learnt together with the others, less learnt alone from as many steps over the same "
                "posts and with the same seeds, with intervals as above. What is learnt alone also chose its checkpoint by that group alone. "
                "Where a similarity is below 0 the others' company costs the group something: that is "
                "negative transfer.",
                "",
                tables.one_block("Together less alone", gained, _SHOWN),
                f"![Transfer](figures/transfer-{slug}.png)",
                "",
            ]
        return "\n".join(pieces)

    def _draw(self) -> str:
        pieces = ["## Over training", ""]
        courses = {
            f"{e.system.name} ({_seeds(len(e.histories))})": e.histories
            for e in self._systems
            if e.histories
        }
        figures.draw_learning(courses, self._figure("learning.png"))
        pieces += ["![Learning curves](figures/learning.png)", ""]
        for entry in self._systems:
            if entry.histories and weight_panels(entry.histories[0]):
                name = f"weights-{entry.system.slug}.png"
                title = f"{entry.system.name}: weights of the losses"
                draw_weights(entry.histories, self._figure(name), title)
                pieces += [f"![{title}](figures/{name})", ""]
        return "\n".join(pieces)

    def _plain(self) -> dict[str, Any]:
        systems: dict[str, dict[str, Any]] = {
            name: {
                "encoder": entry.system.encoder,
                "settings": {**self._experiment.train, **entry.system.options},
                "epochs": [{"best": best, "run": run} for best, run in entry.epochs],
                "seeds": dict(zip(map(str, entry.seeds or ("mean",)), entry.results, strict=True)),
            }
            for name, entry in self._by_name.items()
        }
        return {"split": self._experiment.split, "posts": len(self._posts), "systems": systems}

    def _figure(self, name: str) -> Path:
        folder = self._out / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def _text(self, name: str, text: str) -> None:
        with atomic_path(self._out / name) as temporary:
            temporary.write_text(text, "utf-8")


def shared_seeds(one: Trained, other: Trained) -> tuple[Trained, Trained]:
    """Both with the seeds that both have; as they are where they share none."""
    both = [seed for seed in one.seeds if seed in other.seeds]
    return (_only(one, both), _only(other, both)) if both else (one, other)


def _only(entry: Trained, seeds: Sequence[int]) -> Trained:
    places = [entry.seeds.index(seed) for seed in seeds]
    results = [entry.results[place] for place in places]
    return replace(entry, predicted_SNL=entry.predicted_SNL[places], results=results)


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"


def _flatters(experiment: Experiment) -> str:
    if experiment.split != "dev":
        return ""
    return "Checkpoints were chosen by their score on dev, so figures on dev flatter a little. "


def _certain(values: dict[str, float]) -> dict[str, Cell]:
    return {name: (value, math.nan) for name, value in values.items()}
