"""A shard to a part: reads its rows, runs the engine, writes the file; runs in a worker's process."""

import platform
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus_lonely import tables
from corpus_lonely.errors import (
    CorpusLonelyError,
    InputError,
    ModelError,
    OutputError,
    SettingsError,
    first_line,
)
from corpus_lonely.inference.folder import NUMERICS_VERSION, model_facts
from corpus_lonely.scoring.inputs import open_binary, verify_unchanged
from corpus_lonely.scoring.parts import Counts, Output
from corpus_lonely.scoring.plan import Run, Shard
from corpus_lonely.storage import Place

if TYPE_CHECKING:
    from corpus_lonely.inference.engine import Engine, Scores

_READ_ROWS = 8192
_TELL_EVERY_S = 0.5
_VERSIONED = ("corpus-lonely", "torch", "transformers", "tokenizers")


@dataclass(frozen=True)
class Task:
    """What all shards of a run have in common; it crosses to the workers, so it holds no data."""

    run: Run
    model: Path
    out: Place
    device: str
    threads: int | None
    """CPU threads of the process; None leaves torch's choice."""
    carried: pa.Schema
    parts: int
    """How many shards there are in all."""


@dataclass(frozen=True)
class Ready:
    """What a worker says once its model stands."""

    device: str
    precision: str
    python: str
    versions: dict[str, str]
    numerics_version: int


@dataclass(frozen=True)
class ShardResult:
    """A shard that is done."""

    shard: Shard
    counts: Counts
    seconds: float


@dataclass(frozen=True)
class ShardFailure:
    """A shard that could not be done; the reason never holds text of a post."""

    shard: Shard
    reason: str
    fatal: CorpusLonelyError | None = None
    """Set when every other shard would fail alike: a full disk, a model that has gone."""
    died: bool = False
    """Whether its worker died, again and again."""


Told = Callable[[int], None]

_lock = threading.Lock()
_engine: "Engine | None" = None
_loaded: tuple[object, ...] = ()


def versions() -> dict[str, str]:
    """The installed versions of what decides the scores."""
    found = {}
    for package in _VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def prepare(task: Task) -> Ready | CorpusLonelyError:
    """Loads the model into this process and says what it computes with.

    Errors come back and are not raised: Dask would print them at length.
    """
    try:
        with _lock:
            settings = _ready_engine(task).settings
    except CorpusLonelyError as error:
        return error
    return Ready(
        device=settings.device,
        precision=settings.precision,
        python=platform.python_version(),
        versions=versions(),
        numerics_version=NUMERICS_VERSION,
    )


def score_shard(shard: Shard, task: Task, told: Told | None = None) -> ShardResult | ShardFailure:
    """Scores one shard into its part file; raises nothing.

    told: called now and then with how many of its posts are scored.
    """
    began = time.perf_counter()
    try:
        with _lock:  # one model, one device: the shards of a process go one after the other
            counts = _score(shard, task, told)
    except (ModelError, OutputError, SettingsError) as error:
        return ShardFailure(shard, str(error), fatal=error)
    except CorpusLonelyError as error:
        return ShardFailure(shard, str(error))
    except Exception as error:  # noqa: BLE001  (one shard's trouble must not stop the others)
        return ShardFailure(shard, _without_text(error))
    return ShardResult(shard, counts, time.perf_counter() - began)


def _score(shard: Shard, task: Task, told: Told | None) -> Counts:
    if standing := Output(task.out).standing(task.run, shard):
        return standing  # its worker died between the rename and the answer
    engine = _ready_engine(task)
    verify_unchanged(shard.file)
    rows = read_rows(shard, task)
    scores = engine.score(_texts(rows.column(task.run.text_column)), _throttled(told))
    counts = _count(scores)
    carried = _carried(rows, shard, task)
    labels = scores.to_arrow()
    schema = tables.scores_schema(scores.taxonomy, task.carried)
    part = pa.Table.from_arrays(
        [*carried, *labels.columns],
        schema=tables.with_footer(
            schema, _facts(shard, task, scores, counts, engine.settings.device)
        ),
    )
    Output(task.out).write(shard, part)
    return counts


def _ready_engine(task: Task) -> "Engine":
    """The model of this process, loaded by whoever asks first."""
    from corpus_lonely.inference.engine import (  # noqa: PLC0415  (torch takes seconds, and the driver needs none)
        Engine,
        EngineSettings,
    )

    global _engine, _loaded  # one model per process is the point
    run = task.run
    wanted = (run.model, task.model, run.max_tokens, run.batch_tokens, task.device, task.threads)
    fits = _engine is not None and run.precision in ("auto", _engine.settings.precision)
    if _engine is not None and fits and wanted == _loaded:
        return _engine
    if model_facts(task.model).fingerprint != run.model:
        raise ModelError("is not the model that the run began with", where=task.model)
    settings = EngineSettings(
        run.max_tokens, run.batch_tokens, run.precision, task.device, task.threads
    )
    _engine, _loaded = Engine.load(task.model, settings), wanted
    return _engine


def read_rows(shard: Shard, task: Task) -> pa.Table:
    """The shard's rows: the text column and those carried along that the file holds.

    Only the row groups that it overlaps are opened, and streamed up to its range.
    """
    try:
        with open_binary(shard.file.url) as file:
            return pa.Table.from_batches(_batches(pq.ParquetFile(file), shard, task))
    except (pa.ArrowException, OSError) as error:
        reason = first_line(error)
        raise InputError(f"cannot be read ({reason})", where=shard.file.url) from error


def _batches(file: pq.ParquetFile, shard: Shard, task: Task) -> Iterator[pa.RecordBatch]:
    groups, position = _row_groups(file, shard)
    wanted = [task.run.text_column, *task.run.carried]
    columns = [name for name in wanted if name in file.schema_arrow.names]
    for batch in file.iter_batches(_READ_ROWS, row_groups=groups, columns=columns):
        first = max(shard.start - position, 0)
        last = min(shard.stop - position, batch.num_rows)
        if first < last:
            yield batch.slice(first, last - first)
        position += batch.num_rows
        if position >= shard.stop:
            return


def _row_groups(file: pq.ParquetFile, shard: Shard) -> tuple[list[int], int]:
    """The row groups that the shard overlaps, and the number of the first row in them."""
    groups: list[int] = []
    first = position = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if position < shard.stop and position + rows > shard.start:
            first = first if groups else position
            groups.append(group)
        position += rows
    return groups, first


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    try:
        texts: list[str | None] = column.cast(pa.string()).to_pylist()
    except UnicodeDecodeError:  # Parquet does not check what it is told to be text
        raw = column.cast(pa.binary()).to_pylist()
        return [None if text is None else text.decode("utf-8", "replace") for text in raw]
    return texts


def _throttled(told: Told | None) -> Told | None:
    if told is None:
        return None
    done, last = 0, float("-inf")

    def tell(posts: int) -> None:
        nonlocal done, last
        done += posts
        if time.monotonic() - last >= _TELL_EVERY_S:
            last = time.monotonic()
            told(done)

    return tell


def _count(scores: "Scores") -> Counts:
    statuses = Counter(scores.status)
    return Counts(
        rows=len(scores.status),
        ok=statuses["ok"],
        empty=statuses["empty"],
        error=statuses["error"],
        truncated=int(scores.truncated.sum()),
        tokens=int(scores.num_tokens.sum()),
    )


def _carried(rows: pa.Table, shard: Shard, task: Task) -> list[pa.ChunkedArray | pa.Array]:
    return [
        rows.column(field.name).cast(field.type)
        if field.name in rows.column_names
        else pa.array([shard.file.partitions[field.name]] * shard.rows, field.type)
        for field in task.carried
    ]


def _facts(
    shard: Shard, task: Task, scores: "Scores", counts: Counts, device: str
) -> dict[str, Any]:
    """What the footer of a part tells: nothing that differs between two equal runs."""
    return {
        "kind": "scores",
        "fingerprint": task.run.fingerprint(shard),
        "run": task.run.to_dict(),
        "shard": {
            "index": shard.index,
            "of": task.parts,
            "file": shard.file.name,
            "size": shard.file.size,
            "footer_sha256": shard.file.footer_sha256,
            "start": shard.start,
            "stop": shard.stop,
        },
        "taxonomy": scores.taxonomy.to_dict(),
        "versions": versions(),
        "device": device.partition(":")[0],  # which of several computed is not told
        "counts": asdict(counts),
    }


def _without_text(error: BaseException) -> str:
    """An unforeseen error's kind and place; its message might quote a post."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
