"""One part of scores: what its footer tells, and the first thing that is wrong with it."""

# N rows, L labels

import io
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus_lonely import tables
from corpus_lonely.errors import CorpusLonelyError, InputError
from corpus_lonely.scoring.parts import Counts
from corpus_lonely.scoring.plan import Run, Shard
from corpus_lonely.seal import is_whole
from corpus_lonely.sources import InputFile
from corpus_lonely.storage import Place
from corpus_lonely.taxonomy import Taxonomy

SUM_TOLERANCE = 1e-3
"""How far the labels of a category may be from 1 together: float32 and bfloat16 round."""
_STATUSES = ("ok", "empty", "error")


@dataclass(frozen=True)
class Facts:
    """What the footer of a part tells."""

    fingerprint: str
    run: Run
    shard: Shard
    of: int
    """How many parts there are in all."""
    counts: Counts
    taxonomy: Taxonomy
    versions: tuple[tuple[str, str], ...]
    device: str
    """The kind of device: `cpu`, `cuda`, `mps`."""
    purged: int = 0
    """Rows that `corpus-lonely purge` took out of the shard's."""
    author_key: str | None = None
    """What the authors of the posts were hashed with, if it is known."""

    @classmethod
    def from_footer(cls, content: dict[str, Any]) -> "Facts":
        """Raises AttributeError, KeyError, TypeError or ValueError when something is missing."""
        told = content["shard"]
        file = InputFile(told["file"], "", told["size"], told["footer_sha256"], told["stop"])
        return cls(
            fingerprint=content["fingerprint"],
            run=_shared(Run.from_dict(content["run"])),
            shard=Shard(told["index"], file, told["start"], told["stop"]),
            of=int(told["of"]),
            counts=Counts(**content["counts"]),
            taxonomy=_shared(Taxonomy.from_dict(content["taxonomy"])),
            versions=_shared(tuple(sorted(content["versions"].items()))),
            device=content["device"],
            purged=int(content.get("purged", 0)),
            author_key=content.get("author_key"),
        )


@lru_cache(maxsize=64)
def _shared(value: Any) -> Any:
    """The first of equal values, for a folder may have a hundred thousand parts."""
    return value


@dataclass(frozen=True)
class Part:
    """A part that stands, whole or not."""

    name: str
    facts: Facts | None = None
    """None when the footer cannot be read."""
    problem: str | None = None
    """Why it is no good, in words; never a post's."""


def read_part(place: Place, check: bool = True) -> Part:
    """Reads a part's footer, and with `check` every byte and every value; raises nothing."""
    try:
        content, rows = tables.footer_and_rows(place)
        facts = Facts.from_footer(content)
    except InputError as error:
        return Part(place.name, problem=error.what.splitlines()[0])
    except (CorpusLonelyError, OSError) as error:
        return Part(place.name, problem=f"cannot be read ({type(error).__name__})")
    except (AttributeError, KeyError, TypeError, ValueError):
        return Part(place.name, problem="its footer does not tell what it holds")
    part = Part(place.name, facts)
    problem = _contradiction(place.name, facts, rows)
    if check and problem is None:
        problem = _damage(place, facts)
    return replace(part, problem=problem)


def _contradiction(name: str, facts: Facts, rows: int) -> str | None:
    """What the footer says against the file's name, or against itself."""
    shard = facts.shard
    if name != shard.part:
        return f"holds the scores of {shard.part}"
    if facts.fingerprint != facts.run.fingerprint(shard):
        return "its fingerprint does not fit the run that it names"
    if facts.taxonomy.fingerprint != facts.run.taxonomy:
        return "its taxonomy is not that of its run"
    if not rows == shard.rows - facts.purged == facts.counts.rows or facts.purged < 0:
        return f"has {rows:,} rows, and should have {shard.rows - facts.purged:,}"
    return None


def _damage(place: Place, facts: Facts) -> str | None:
    try:
        content = place.read_bytes()
        if not is_whole(content):
            return "is damaged: its content is not what was written"
        return value_problem(pq.read_table(io.BytesIO(content), use_threads=False), facts)
    except (CorpusLonelyError, OSError, pa.ArrowException) as error:
        return f"cannot be read ({type(error).__name__})"


def value_problem(table: pa.Table, facts: Facts) -> str | None:
    """What is wrong with the columns and values of a part's table, if anything is."""
    labels = facts.taxonomy.score_columns
    wanted = [*facts.run.carried, *labels, *tables.SCORE_FACTS]
    if table.column_names != wanted:
        return f"its columns are {', '.join(table.column_names)}, not {', '.join(wanted)}"
    if unknown := set(table["status"].unique().to_pylist()) - set(_STATUSES):
        return f"has a status that is none of {', '.join(_STATUSES)} ({len(unknown)} different)"
    if (found := count_rows(table)) != facts.counts:
        return f"counts {_told(found)}, but its footer {_told(facts.counts)}"
    ok_N = pc.equal(table["status"], "ok").to_numpy()
    for name in labels:
        if problem := _column_problem(name, table[name], ok_N):
            return problem
    return _sum_problem(table, facts.taxonomy, ok_N)


def count_rows(table: pa.Table) -> Counts:
    """How many rows of a part's table were scored, and how."""
    status = table["status"]
    of = {name: int(pc.sum(pc.equal(status, name)).as_py() or 0) for name in _STATUSES}
    return Counts(
        rows=table.num_rows,
        truncated=int(pc.sum(table["truncated"]).as_py() or 0),
        tokens=int(pc.sum(table["num_tokens"]).as_py() or 0),
        **of,
    )


def _told(counts: Counts) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in asdict(counts).items())


def _column_problem(name: str, column: pa.ChunkedArray, ok_N: NDArray[np.bool_]) -> str | None:
    if column.type != pa.float32():
        return f"{name} is of type {column.type}, not float"
    there_N = column.is_valid().to_numpy()
    if (there_N != ok_N).any():
        row = int(np.argmax(there_N != ok_N))
        return f"{name} is {'null' if ok_N[row] else 'not null'} in row {row}, against its status"
    values_N = column.to_numpy()
    inside_N = (values_N >= 0) & (values_N <= 1)  # NaN is neither
    if (ok_N & ~inside_N).any():
        row = int(np.argmax(ok_N & ~inside_N))
        return f"{name} is {values_N[row]:.6g} in row {row}, not from 0 to 1"
    return None


def _sum_problem(table: pa.Table, taxonomy: Taxonomy, ok_N: NDArray[np.bool_]) -> str | None:
    for category in taxonomy.categories:
        values_LN = np.stack([table[column].to_numpy() for column in category.columns])
        sums_N = values_LN.sum(axis=0, dtype=np.float64)
        wrong_N = ok_N & (np.abs(sums_N - 1) > SUM_TOLERANCE)
        if wrong_N.any():
            row = int(np.argmax(wrong_N))
            return f"the labels of {category.name} sum to {sums_N[row]:.6g} in row {row}, not to 1"
    return None
