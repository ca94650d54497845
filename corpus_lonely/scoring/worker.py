"""A shard to a part: reads its rows, runs the engine, writes the file; runs in a worker's process."""

import platform
import threading
import time
from collections import Counter
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from corpus_lonely import tables
from corpus_lonely.cluster import count_gpus
from corpus_lonely.errors import (
    CorpusLonelyError,
    InputError,
    ModelError,
    OutputError,
    ScoringError,
    SettingsError,
    StorageError,
    first_line,
)
from corpus_lonely.inference.budget import default_batch_tokens
from corpus_lonely.inference.faults import device_failure
from corpus_lonely.inference.folder import NUMERICS_VERSION, model_facts
from corpus_lonely.scoring.failures import without_text
from corpus_lonely.scoring.inputs import verify_unchanged
from corpus_lonely.scoring.parts import Counts, Output
from corpus_lonely.scoring.plan import Run, Shard
from corpus_lonely.scoring.probe import Probe, check_probe
from corpus_lonely.scoring.reading import carried_columns, read_rows, read_texts
from corpus_lonely.scoring.task import Abandoned, Ready, ShardFailure, ShardResult, Task, Told

if TYPE_CHECKING:
    from corpus_lonely.inference.engine import Engine
    from corpus_lonely.inference.scores import Scores

_TELL_EVERY_S = 0.5
_VERSIONED = ("corpus-lonely", "torch", "transformers", "tokenizers")


_lock = threading.Lock()
_checked: set[tuple[Probe | None, int]] = set()
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
    if error := _unfit(task):
        return error
    try:
        with _lock:
            engine = _ready_engine(task)
    except CorpusLonelyError as failure:
        return failure
    except Exception as error:  # noqa: BLE001  (another worker may load it)
        return ScoringError(f"a worker could not load the model: {without_text(error)}")
    return Ready(
        device=engine.settings.device,
        precision=engine.settings.precision,
        batch_tokens=engine.settings.batch_tokens or engine.batch_tokens,
        packed=engine.forward.packed,
        python=platform.python_version(),
        versions=versions(),
        numerics_version=NUMERICS_VERSION,
    )


def score_shard(shard: Shard, task: Task, told: Told | None = None) -> ShardResult | ShardFailure:
    """Scores one shard into its part file; raises nothing.

    told: called with 0 as the work begins, then now and then with how many of its posts are scored,
    and once more before the part is written. It may raise `Abandoned`: then nothing is written.
    """
    try:
        return _score(shard, task, told or _nobody)
    except (ModelError, OutputError, SettingsError) as error:
        return ShardFailure(shard, str(error), fatal=error)
    except CorpusLonelyError as error:
        return ShardFailure(shard, str(error), unread=isinstance(error, InputError | StorageError))
    except Abandoned:
        return ShardFailure(shard, "is not wanted any more")
    except Exception as error:  # noqa: BLE001  (one shard's trouble must not stop the others)
        if reason := device_failure(error):
            return _broken(shard, task, reason)
        return ShardFailure(shard, without_text(error))


def _score(shard: Shard, task: Task, told: Told) -> ShardResult | ShardFailure:
    began, output = time.perf_counter(), Output(task.out)
    if error := _unfit(task):
        return ShardFailure(shard, str(error), fatal=error, host=True)
    if standing := output.standing(task.run, shard):
        # its worker died between the rename and the answer
        return ShardResult(shard, standing, 0.0)
    told(0)
    try:
        with _lock:  # one model a process, whoever of its threads asks first
            engine = _ready_engine(task)
    except CorpusLonelyError as failure:
        return ShardFailure(shard, str(failure), fatal=failure, host=True)
    verify_unchanged(shard.file)
    rows = read_rows(shard, [task.run.text_column, *task.run.carried])
    scores = engine.score(read_texts(rows.column(task.run.text_column)), _throttled(told))
    counts = _count(scores)
    told(shard.rows)
    if not output.standing(task.run, shard):  # it may have been given to another as well
        _write(shard, task, rows, scores, counts, engine.settings.device)
    seconds = time.perf_counter() - began
    return ShardResult(shard, counts, seconds, engine.new_halvings(), engine.batch_tokens)


def _write(
    shard: Shard, task: Task, rows: pa.Table, scores: "Scores", counts: Counts, device: str
) -> None:
    carried = carried_columns(rows, shard.file, task.carried)
    labels = scores.to_arrow()
    schema = tables.scores_schema(scores.taxonomy, task.carried)
    part = pa.Table.from_arrays(
        [*carried, *labels.columns],
        schema=tables.with_footer(schema, _facts(shard, task, scores, counts, device)),
    )
    Output(task.out).write(shard, part)


def _broken(shard: Shard, task: Task, reason: str) -> ShardFailure:
    told = f"{task.device} can compute nothing more in this process ({reason})"
    error = ScoringError(told, hint="What is done is kept: run the same command again to go on")
    return ShardFailure(shard, reason, fatal=error, host=True, broken=True)


def _nobody(_posts: int) -> None:
    """Hears how far a shard is where nobody else does."""


def _ready_engine(task: Task) -> "Engine":
    """The model of this process, loaded by whoever asks first."""
    from corpus_lonely.inference.engine import (  # noqa: PLC0415  (torch takes seconds, and the driver needs none)
        Engine,
        EngineSettings,
    )

    global _engine, _loaded  # one model per process is the point
    run = task.run
    wanted = (run.model, task.model, run.max_tokens, task.device, task.threads)
    if _engine is not None and wanted == _loaded and _fits(_engine, run):
        return _engine
    if task.device == "auto" and (error := _missed_gpu()):
        raise error
    if model_facts(task.model).fingerprint != run.model:
        raise ModelError("is not the model that the run began with", where=task.model)
    settings = EngineSettings(
        run.max_tokens, run.batch_tokens, run.precision, task.device, task.threads
    )
    _engine, _loaded = Engine.load(task.model, settings), wanted
    return _engine


def _missed_gpu() -> SettingsError | None:
    """Where `auto` would take the CPU of a machine whose GPU torch cannot use: 50 times as slow, in silence."""
    import torch  # noqa: PLC0415  (it takes seconds, and the driver needs none)

    if not count_gpus() or torch.cuda.is_available():
        return None
    reason = "torch finds none"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error)
    return SettingsError(
        f"there is a GPU, and it cannot be used ({reason})",
        where=platform.node(),
        hint="Mend its driver, or give --device cpu",
    )


def _fits(engine: "Engine", run: Run) -> bool:
    """Whether it computes as one that were loaded for the run, be it that an earlier run had asked for more."""
    from corpus_lonely.inference.device import find_precision  # noqa: PLC0415  (as above)

    precision = find_precision(run.precision, engine.device)
    batch_tokens = run.batch_tokens or default_batch_tokens(engine.device.type == "cuda")
    have = engine.settings
    return (have.precision, have.batch_tokens) == (precision, batch_tokens)


def _unfit(task: Task) -> CorpusLonelyError | None:
    """Asked once of a process: whether what it writes would be what the driver expects, and where."""
    known = (task.probe, task.run.numerics_version)
    if known in _checked:
        return None
    if task.run.numerics_version != NUMERICS_VERSION:
        return InputError(
            f"corpus-lonely {versions()['corpus-lonely']} is installed, whose scores are not those of "
            "this process",
            hint="Use one environment on all hosts",
        )
    try:
        if task.probe:
            check_probe(Output(task.out), task.probe)
    except OutputError as error:
        return error
    _checked.add(known)
    return None


def _throttled(told: Told) -> Told:
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


def _facts(
    shard: Shard, task: Task, scores: "Scores", counts: Counts, device: str
) -> dict[str, Any]:
    """What the footer of a part tells: nothing that differs between two equal runs."""
    return {
        **task.identities.facts(),
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
