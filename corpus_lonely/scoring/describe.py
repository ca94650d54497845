"""What a folder of scores is: where it came from, what stands, what is missing, what is damaged."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from corpus_lonely.errors import InputError
from corpus_lonely.files import read_json
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.scoring.aside import Aside
from corpus_lonely.scoring.checks import Facts, Part, read_part
from corpus_lonely.scoring.parts import Counts, Output, is_part, total
from corpus_lonely.scoring.plan import Run, Shard
from corpus_lonely.storage import Place, contents
from corpus_lonely.tables import part_name
from corpus_lonely.taxonomy import Taxonomy

_READERS = 8


@dataclass(frozen=True)
class Description:
    """All that a folder of scores tells of itself."""

    folder: str
    run: Run
    taxonomy: Taxonomy | None
    """None when no part can be read."""
    model: str | None
    """Absolute path of the model as it was; None when the description is lost."""
    input: str | None
    """Where the posts were: an absolute path or glob, or a URL."""
    versions: dict[str, list[str]]
    """Of each package that decides the scores; more than one where a run went on after an update."""
    devices: list[str]
    """Kinds of device that computed: `cpu`, `cuda`, `mps`."""
    author_key: str | None
    """What the authors of the posts were hashed with, if it is known."""
    counts: Counts
    """Over the parts that are good."""
    purged: int
    """Rows that `corpus-lonely purge` took out of the good parts."""
    rows: int | None
    """Posts of the whole input; None when the description is lost."""
    parts: int
    """How many make up the whole."""
    good: int
    """Parts that stand and are good."""
    missing: list[str]
    """Parts that are not there."""
    set_aside: dict[str, str]
    """Of the missing, those that could not be scored, with the reason."""
    bad: dict[str, str]
    """Parts that stand but are no good, with the reason."""
    others: list[str]
    """What else lies in the folder."""
    checked: bool
    """Whether every byte and value was read; else footers alone."""

    @property
    def complete(self) -> bool:
        """Whether all parts stand and are good."""
        return self.good == self.parts and not self.bad

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **asdict(self),
            "run": self.run.to_dict(),
            "taxonomy": self.taxonomy.to_dict() if self.taxonomy else None,
            "complete": self.complete,
        }


@dataclass(frozen=True)
class Inspection:
    """A description, and the parts behind it."""

    description: Description
    parts: tuple[Part, ...]

    @property
    def shards(self) -> list[Shard]:
        """Of the good parts."""
        return [facts.shard for facts in _facts(self.parts)]


def inspect_scores(
    folder: Place, check: bool = True, progress: Progress | None = None
) -> Inspection:
    """Reads a folder of scores, whole or partly done.

    check: read every byte and every value; else the footers alone.
    Raises InputError when there are no scores.
    """
    output = Output(folder)
    entries = contents(folder)
    if not entries:
        what = "holds no scores" if folder.exists() else "does not exist"
        raise InputError(what, where=folder, hint="`corpus-lonely score` makes scores")
    standing = [entry for entry in entries if is_part(entry)]
    parts = list(_read(standing, check, progress or Silent()))
    told = _told(output)
    run = _run(told, parts)
    if run is None:
        raise InputError("holds no scores that can be read", where=folder)
    parts = list(_against_each_other(parts, run))
    names = {entry.name for entry in standing}
    others = [e.name for e in entries if e.name not in names and e.name[0] != "."]
    aside = Aside(output).reasons()  # a run that was killed has told of them nowhere else
    told["set_aside"] = {part_name(index): reason for index, reason in aside.items()} | (
        told.get("set_aside") or {}
    )
    return Inspection(_description(folder, told, run, parts, others, check), tuple(parts))


def _read(standing: Sequence[Place], check: bool, progress: Progress) -> Iterable[Part]:
    progress.start("Checking", len(standing), "parts")
    with ThreadPoolExecutor(_READERS) as readers:
        for part in readers.map(lambda place: read_part(place, check), standing):
            progress.advance(1)
            yield part
    progress.finish()


def _told(output: Output) -> dict[str, Any]:
    """The description beside the folder, empty when it is lost: the parts alone tell enough."""
    try:
        told = read_json(output.description)
    except InputError:
        return {}
    return told if isinstance(told, dict) else {}


def _run(told: dict[str, Any], parts: Iterable[Part]) -> Run | None:
    """Whose folder it is: what the description says, else what most parts say."""
    try:
        return Run.from_dict(told["run"])
    except (KeyError, TypeError):
        pass
    runs = Counter(part.facts.run for part in parts if part.facts)
    return runs.most_common(1)[0][0] if runs else None


def _against_each_other(parts: Iterable[Part], run: Run) -> Iterable[Part]:
    """The parts, with what is wrong only when they are seen together."""
    before: Facts | None = None
    of = Counter(facts.of for facts in _facts(parts)).most_common(1)
    for part in parts:
        problem, facts = part.problem, part.facts
        if facts and problem is None:
            if differences := run.differences(facts.run):
                problem = f"is of a run with {'; '.join(differences)}"
            elif facts.of != of[0][0]:
                problem = f"is one of {facts.of:,} parts, the others of {of[0][0]:,}"
            elif not _follows(before, facts):
                problem = "does not begin where the part before it ends"
            else:
                before = facts
        yield replace(part, problem=problem)


def _follows(before: Facts | None, facts: Facts) -> bool:
    """Whether a part begins where the one before it ends, if that stands."""
    shard = facts.shard
    if shard.index == 0:
        return shard.start == 0
    if before is None or before.shard.index != shard.index - 1:
        return True
    if before.shard.file.name != shard.file.name:
        return shard.start == 0
    return before.shard.stop == shard.start


def _facts(parts: Iterable[Part]) -> list[Facts]:
    """Of the good ones."""
    return [part.facts for part in parts if part.facts and part.problem is None]


def _description(
    folder: Place,
    told: dict[str, Any],
    run: Run,
    parts: Sequence[Part],
    others: list[str],
    check: bool,
) -> Description:
    good = _facts(parts)
    counts = total(facts.counts for facts in good)
    of = told.get("shards") or max((facts.of for facts in good), default=0)
    names = {part.name for part in parts}
    missing = [name for name in map(part_name, range(of)) if name not in names]
    absent = set(missing)
    bad = {part.name: part.problem for part in parts if part.problem}
    totals = told.get("totals")
    if totals and len(good) == of and totals != asdict(counts):
        bad["scores.json"] = "tells other totals than the parts together"
    aside = told.get("set_aside") or {}
    return Description(
        folder=str(folder),
        run=run,
        taxonomy=good[0].taxonomy if good else None,
        model=told.get("model"),
        input=told.get("input"),
        versions=_versions(good),
        devices=sorted({facts.device for facts in good}),
        author_key=good[0].author_key if good else None,
        counts=counts,
        purged=sum(facts.purged for facts in good),
        rows=told.get("rows"),
        parts=of,
        good=len(good),
        missing=missing,
        set_aside={name: reason for name, reason in aside.items() if name in absent},
        bad=bad,
        others=others,
        checked=check,
    )


def _versions(good: Iterable[Facts]) -> dict[str, list[str]]:
    pairs = sorted({pair for facts in good for pair in facts.versions})
    return {
        package: [number for name, number in pairs if name == package] for package in dict(pairs)
    }
