"""Scores a sample of a folder's posts once more and compares, so that nobody has to take it on trust."""

# N posts of the sample, L labels

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from corpus_lonely.errors import InputError, ModelError, ScoringError
from corpus_lonely.inference.folder import model_facts
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.scoring.describe import Inspection
from corpus_lonely.scoring.inputs import Posts, find_posts
from corpus_lonely.scoring.originals import differing_rows, rows_at, rows_by_id
from corpus_lonely.scoring.plan import Run, Shard, cut_shards
from corpus_lonely.sources import open_binary
from corpus_lonely.storage import Place
from corpus_lonely.tables import PASSED_THROUGH, SCORE_FACTS

ROWS = 200
SAME = 1e-4
"""Greatest difference on the same kind of device in fp32: the sample has other neighbours in its batches."""
ALIKE = 0.01
"""Greatest difference otherwise: bfloat16 rounds, and devices do so in different ways."""


@dataclass(frozen=True)
class VerifySettings:
    """What to compare with."""

    rows: int = ROWS
    """Posts to score once more."""
    model: Path | None = None
    """None: where the model was when the scores were made."""
    input: str | None = None
    """None: where the posts were when the scores were made."""
    seed: int = 0
    """Of the sample."""
    tolerance: float | None = None
    """Greatest difference that is taken for rounding; None: SAME or ALIKE."""
    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class Verification:
    """How scores compare with those made anew."""

    rows: int
    greatest: float
    """Greatest difference of any probability."""
    mean: float
    where: str
    """The part and the row of the greatest difference."""
    others: int
    """Rows whose status, number of tokens or cut differ: not one should."""
    tolerance: float
    device: str
    precision: str
    carried: int = 0
    """Rows whose columns carried along are not those of the input: not one should."""

    @property
    def agrees(self) -> bool:
        """Whether all rows are the same but for rounding."""
        return self.greatest <= self.tolerance and not self.others and not self.carried

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "agrees": self.agrees}


def verify_scores(
    folder: Place,
    inspection: Inspection,
    settings: VerifySettings,
    progress: Progress | None = None,
) -> Verification:
    """Scores a random sample of the good parts' posts anew, with the model and the posts of the run.

    Raises InputError or ModelError when these are gone, or are others now; ScoringError without parts.
    """
    progress = progress or Silent()
    model, posts = _model(inspection, settings), _posts(inspection, settings)
    sample = _sample(inspection, posts, settings)
    progress.start("Scoring a sample", sum(len(rows) for _, rows in sample), "posts")
    run = inspection.description.run
    stored = pa.concat_tables(_stored(folder, shard, rows) for shard, rows in sample)
    if not inspection.description.purged:
        originals = rows_at(sample, posts, run)
    elif "post_id" in run.carried:
        ids = stored["post_id"].to_pylist()
        originals = rows_by_id(ids, sample, posts, run, folder)
    else:
        raise InputError(
            "were purged, and have no column 'post_id' to find the rest by", where=folder
        )
    texts = originals[run.text_column].to_pylist()
    anew, device, precision = _anew(texts, model, run, settings, progress)
    progress.finish()
    places = [f"{shard.part}, row {row}" for shard, rows in sample for row in rows]
    same = device in inspection.description.devices and precision == "fp32"
    tolerance = settings.tolerance if settings.tolerance is not None else (SAME if same else ALIKE)
    found = _compare(stored, anew, places, tolerance, device, precision)
    return replace(found, carried=differing_rows(stored, originals, run.carried))


def _model(inspection: Inspection, settings: VerifySettings) -> Path:
    path = settings.model or inspection.description.model
    if path is None:
        raise ModelError("nobody knows where the model is", hint="Name it with --model")
    facts = model_facts(path)
    if facts.fingerprint != inspection.description.run.model:
        raise ModelError(
            "is not the model that the scores were made with",
            where=path,
            hint="Name that one with --model",
        )
    return Path(path)


def _posts(inspection: Inspection, settings: VerifySettings) -> Posts:
    source, run = settings.input or inspection.description.input, inspection.description.run
    if source is None:
        raise InputError("nobody knows where the posts are", hint="Name them with --input")
    keep = [name for name in run.carried if name not in PASSED_THROUGH]
    posts = find_posts(source, run.text_column, keep)
    # purged posts are in other places than those that were scored: they are found by their ids
    if posts.sha256 != run.input and not inspection.description.purged:
        raise InputError(
            "does not hold the posts that the scores were made from",
            where=source,
            hint="Name those with --input",
        )
    return posts


def _sample(
    inspection: Inspection, posts: Posts, settings: VerifySettings
) -> list[tuple[Shard, list[int]]]:
    """Shards of the input whose parts are good, and in each the rows to score again, in order."""
    good = {shard.index for shard in inspection.shards}
    if inspection.description.purged:
        facts = [part.facts for part in inspection.parts if part.facts and not part.problem]
        # as many rows as are left, at their places in the part
        shards = [replace(one.shard, start=0, stop=one.counts.rows) for one in facts]
    else:
        cut = cut_shards(posts, inspection.description.run.shard_rows)
        shards = [shard for shard in cut if shard.index in good]
    ends = [0, *accumulate(shard.rows for shard in shards)]
    if not ends[-1]:
        raise ScoringError("there is no good part to verify", where=inspection.description.folder)
    count = min(settings.rows, ends[-1])
    drawn = iter(sorted(random.Random(settings.seed).sample(range(ends[-1]), count)))  # noqa: S311  (no secret)
    pairs = _spread(drawn, shards, list(pairwise(ends)))
    return [
        (shard, [row for _, row in rows])
        for shard, rows in groupby(pairs, key=lambda pair: pair[0])
    ]


def _spread(
    drawn: Iterator[int], shards: Sequence[Shard], ranges: Sequence[tuple[int, int]]
) -> Iterator[tuple[Shard, int]]:
    """Positions among all rows to shards and rows in them."""
    place = 0
    for position in drawn:
        while position >= ranges[place][1]:
            place += 1
        yield shards[place], position - ranges[place][0]


def _stored(folder: Place, shard: Shard, rows: Sequence[int]) -> pa.Table:
    with open_binary(str(folder / shard.part)) as file:
        return pq.read_table(file).take(list(rows))


def _anew(
    texts: Sequence[str | None],
    model: Path,
    run: Run,
    settings: VerifySettings,
    progress: Progress,
) -> tuple[pa.Table, str, str]:
    """The scores of these texts, and the kind of device and the precision that made them."""
    from corpus_lonely.inference.engine import (  # noqa: PLC0415  (torch takes seconds)
        Engine,
        EngineSettings,
    )

    engine_settings = EngineSettings(
        max_tokens=run.max_tokens,
        batch_tokens=run.batch_tokens,
        precision=run.precision,
        device=settings.device,
        threads=settings.threads,
    )
    engine = Engine.load(model, engine_settings)
    scores = engine.score(texts, progress.advance)
    return scores.to_arrow(), engine.device.type, engine.settings.precision


def _compare(
    stored: pa.Table,
    anew: pa.Table,
    places: Sequence[str],
    tolerance: float,
    device: str,
    precision: str,
) -> Verification:
    labels = [name for name in anew.column_names if name not in SCORE_FACTS]
    differences_NL = np.stack([_differences(stored[name], anew[name]) for name in labels], axis=1)
    row, _ = np.unravel_index(int(differences_NL.argmax()), differences_NL.shape)
    others_N = np.zeros(len(places), np.bool_)
    for name in SCORE_FACTS:
        others_N |= pc.not_equal(stored[name], anew[name]).to_numpy()
    return Verification(
        rows=len(places),
        greatest=float(differences_NL.max()),
        mean=float(differences_NL.mean()),
        where=places[int(row)],
        others=int(others_N.sum()),
        tolerance=tolerance,
        device=device,
        precision=precision,
    )


def _differences(stored: pa.ChunkedArray, anew: pa.ChunkedArray) -> NDArray[np.float64]:
    """Absolute differences; 0 where both are null, 1 where one is."""
    left_N: NDArray[np.float64] = stored.to_numpy().astype(np.float64)
    right_N: NDArray[np.float64] = anew.to_numpy().astype(np.float64)
    found_N = np.abs(left_N - right_N)
    both_N = np.isnan(left_N) & np.isnan(right_N)
    found_N[both_N] = 0.0
    found_N[np.isnan(found_N)] = 1.0
    return found_N
