"""What an experiment writes: the paper's tables, differences, transfer, figures, and a page of them all."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from corpus_lonely.files import atomic_path, finite, write_json
from corpus_lonely.metrics import BINARY_METRICS, DISTRIBUTION_METRICS, Array
from corpus_lonely.training.curve import draw_weights, weight_panels
from corpus_lonely.training.experiment import figures, tables
from corpus_lonely.training.experiment.compare import Difference, differences
from corpus_lonely.training.experiment.rows import Names, rows_of, seeds_told
from corpus_lonely.training.experiment.runs import Trained, alone, averaged
from corpus_lonely.training.experiment.spec import Experiment
from corpus_lonely.training.experiment.tables import Block, Row, Table
from corpus_lonely.training.experiment.transfer import scores, shared_seeds
from corpus_lonely.training.labels import LabelledPosts
from corpus_lonely.training.settings import TrainSettings

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
        missing: Sequence[str] = (),
    ) -> None:
        """missing: systems without any run."""
        self._experiment, self._posts, self._out = experiment, posts, out
        self._train_means_L = train_means_L
        self._missing = missing
        self._by_name = {entry.system.name: entry for entry in trained}
        self._members: dict[str, list[Trained]] = {}
        self._systems = list(self._with_ensembles())
        self._names = Names(self._members, len(experiment.seeds))
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
            self._members[mean.system.name] = members
            yield mean

    def write(self) -> Path:
        """Writes everything; returns the page."""
        compared = self._compared()
        pieces = [self._head()]
        for number, table in ((3, self._table_3()), (4, self._table_4())):
            pieces.append(tables.markdown(table))
            self._text(f"tables/table-{number}.md", tables.markdown(table))
            self._text(f"tables/table-{number}.csv", tables.tidy(table))
            self._text(f"tables/table-{number}.tex", tables.latex(table, f"tab:table-{number}"))
        if compared:
            pieces.append(self._differences(compared))
        pieces += [self._transfer(name) for name in self._experiment.transfer]
        pieces.append(self._draw())
        write_json(self._out / "results.json", finite(self._plain()))
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
                "KL is infinite (inf) where a label that somebody voted for has probability exactly 0 in one post or "
                "more; it then has no difference.",
                "",
                *self._joined(),
                *(
                    [f"**Not all runs are done.** Seeds so far: {'; '.join(lacking)}.", ""]
                    if lacking
                    else []
                ),
            ]
        )

    def _joined(self) -> list[str]:
        """What the means of models are made of."""
        if not self._members:
            return []
        groups = [group.name for group in self._taxonomy.groups]
        return [
            "Means of models, each group of those that learnt it with the fewest others:",
            "",
            *self._names.explained(groups),
            "",
        ]

    def _lacking(self) -> list[str]:
        """Systems that lack seeds, with those that they have."""
        some = [
            f"{name}: {', '.join(map(str, entry.seeds))}"
            for name, entry in self._by_name.items()
            if entry.histories and set(entry.seeds) != set(self._experiment.seeds)
        ]
        return [*some, *(f"{name}: none" for name in self._missing)]

    def _table_3(self) -> Table:
        root = self._taxonomy.root.name
        block = Block(root.capitalize(), self._rows(root))
        return Table("Lonely or not, as the paper's table 3", BINARY_METRICS, (block,))

    def _table_4(self) -> Table:
        blocks = tuple(
            Block(category.name.capitalize(), self._rows(category.name))
            for category in self._taxonomy.categories
        )
        caption = "Fine-grained distributions, as the paper's table 4, with KL and JS in nats"
        return Table(caption, DISTRIBUTION_METRICS, blocks)

    def _rows(self, group: str) -> tuple[Row, ...]:
        targets = self._posts.targets
        return tuple(rows_of(group, self._systems, self._names, targets, self._train_means_L))

    def _compared(self) -> list[tuple[Trained, list[Difference]]]:
        baseline = self._by_name[self._experiment.baseline]
        return [
            (entry, self._against(entry, baseline))
            for entry in self._systems
            if entry is not baseline
        ]

    def _against(self, entry: Trained, baseline: Trained) -> list[Difference]:
        groups = [group for group in baseline.results[0] if group in entry.results[0]]
        return differences(
            self._posts.targets,
            entry.predicted_SNL,
            baseline.predicted_SNL,
            groups,
            self._experiment.replicates,
        )

    def _differences(self, compared: list[tuple[Trained, list[Difference]]]) -> str:
        plain = {self._names.name(entry): found for entry, found in compared}
        self._text("tables/differences.csv", tables.differences_csv(plain))
        blocks = [
            tables.one_block(group.name.capitalize(), self._of_group(compared, group.name), _SHOWN)
            for group in self._taxonomy.groups
        ]
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
                *blocks,
            ]
        )

    def _of_group(
        self, compared: list[tuple[Trained, list[Difference]]], group: str
    ) -> dict[str, list[Difference]]:
        """The differences in one group of those that learnt it, by the system as it is printed."""
        found = {}
        for entry, every in compared:
            label = tables.labelled(self._names.name(entry), self._names.note(entry, group))
            if some := [one for one in every if one.group == group]:
                found[label] = some
        return found

    def _transfer(self, name: str) -> str:
        groups = [group.name for group in self._taxonomy.groups]
        together = self._by_name[name]
        single = {group: self._by_name[alone(together.system, group).name] for group in groups}
        gained = {
            group: self._against(*shared_seeds(together, entry)) for group, entry in single.items()
        }
        slug = together.system.slug
        rows = scores(together, single, self._taxonomy)
        figures.draw_transfer(rows, self._figure(f"transfer-{slug}.png"), self._experiment.split)
        self._text(f"tables/transfer-{slug}.csv", tables.differences_csv(gained))
        return "\n".join(
            [
                f"## Transfer: {name}",
                "",
                "Each group learnt together with the others, less learnt alone from as many steps over the same "
                "posts and with the same seeds, with intervals as above. What is learnt alone also chose its "
                "checkpoint by that group alone. Where a similarity is below 0 the others' company costs the group "
                "something: that is negative transfer.",
                "",
                tables.one_block("Together less alone", gained, _SHOWN),
                f"![Transfer](figures/transfer-{slug}.png)",
                "",
            ]
        )

    def _draw(self) -> str:
        pieces = ["## Over training", ""]
        trained = [entry for entry in self._systems if entry.histories]
        told = [f"{e.system.name} ({seeds_told(len(e.histories))})" for e in trained]
        courses = {name: e.histories for name, e in zip(told, trained, strict=True)}
        losses = {name: self._loss(e) for name, e in zip(told, trained, strict=True)}
        figures.draw_learning(courses, losses, self._figure("learning.png"))
        pieces += ["![Learning curves](figures/learning.png)", ""]
        for entry in self._systems:
            if entry.histories and weight_panels(entry.histories[0]):
                name = f"weights-{entry.system.slug}.png"
                title = f"{entry.system.name}: weights of the losses"
                draw_weights(entry.histories, self._figure(name), title)
                pieces += [f"![{title}](figures/{name})", ""]
        return "\n".join(pieces)

    def _loss(self, entry: Trained) -> str:
        """What the loss that its curve shows is called."""
        options = {**self._experiment.train, **entry.system.options}
        sparse = options.get("output", "softmax") != "softmax"
        told = "Fenchel-Young" if sparse else options.get("loss", TrainSettings.loss)
        return f"Loss, eq. 1 ({'KL' if told == 'kl' else told})"

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


def _flatters(experiment: Experiment) -> str:
    if experiment.split != "dev":
        return ""
    return "Checkpoints were chosen by their score on dev, so figures on dev flatter a little. "
