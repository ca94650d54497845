"""Runs the whole pipeline on the synthetic data, stage by stage, as the commands do."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from corpus_lonely.cluster import ClusterSettings
from corpus_lonely.demo.dumps import write_dumps
from corpus_lonely.demo.encoder import make_encoder
from corpus_lonely.demo.labelled import write_labels
from corpus_lonely.demo.truth import DEFAULT_CUT, Planted, planted
from corpus_lonely.errors import OutputError, SettingsError
from corpus_lonely.files import read_json, write_json
from corpus_lonely.ingest.report import IngestReport
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.scoring.job import ScoreReport, ScoreSettings, score_posts
from corpus_lonely.study.report import StudyReport
from corpus_lonely.study.run import run_study
from corpus_lonely.study.settings import StudySettings
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.training.evaluate import Evaluation, evaluate_model
from corpus_lonely.training.labels import load_labels
from corpus_lonely.training.settings import TrainSettings
from corpus_lonely.training.train import train_model

_MARK = "made-by-corpus-lonely-demo.json"
_NOTE = "Everything in this folder is synthetic; delete it at any time."
_STAGES = 6


@dataclass(frozen=True)
class DemoSettings:
    """How large the synthetic world is, and where it goes."""

    out: Path
    seed: int = 2
    """A usual corpus: with one seed in four, chance alone moves a label that was left alone."""
    submissions: int = 6000
    comments: int = 3000
    authors: int = 700
    labelled: int = 6000
    """Labelled posts to train on; 300 more each for dev and test."""
    epochs: int = 14
    """Of training the small encoder, which starts from nothing."""
    workers: int = 2
    """Dask worker processes that score."""

    def __post_init__(self) -> None:
        for name in ("submissions", "comments", "authors", "labelled", "epochs", "workers"):
            if getattr(self, name) < 1:
                raise SettingsError(f"--{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise SettingsError(f"--seed must be from 0 to 2^32 - 1, got {self.seed}")

    def world(self) -> dict[str, int]:
        """What decides the content of the folder, where it lies and who scores aside."""
        names = (field.name for field in fields(self))
        return {name: getattr(self, name) for name in names if name not in ("out", "workers")}


@dataclass(frozen=True)
class DemoReport:
    """What each stage made, and the truth that was planted."""

    folder: Path
    truth: Planted
    ingested: IngestReport
    evaluation: Evaluation
    scored: ScoreReport
    study: StudyReport


def run_demo(settings: DemoSettings, progress: Progress | None = None) -> DemoReport:
    """Makes a corpus and labels, then ingests, trains, evaluates, scores and studies.

    Stages that an interrupted run finished are taken as they are, as the commands do. Raises OutputError
    when the folder holds something else, or the demo with other settings.
    """
    progress = progress or Silent()
    out = settings.out
    _claim(settings)
    stage = _stages(progress)
    next(stage)
    dumps = write_dumps(
        out / "dumps",
        settings.seed,
        DEFAULT_CUT,
        submissions=settings.submissions,
        comments=settings.comments,
        authors=settings.authors,
    )
    labels = write_labels(
        out / "labels", settings.seed, {"train": settings.labelled, "dev": 300, "test": 300}
    )
    next(stage)
    ingested = ingest_dumps(
        dumps, out / "posts", IngestSettings(author_key=_author_key(settings)), progress
    )
    next(stage)
    train_model(_training(settings, labels), progress)
    next(stage)
    evaluation = evaluate_model(out / "model", labels, "test", progress=progress)
    next(stage)
    scored = score_posts(_scoring(settings), progress)
    next(stage)
    study = run_study(StudySettings(str(out / "scores"), DEFAULT_CUT, out / "report"), progress)
    return DemoReport(out, planted(), ingested, evaluation, scored, study)


def _author_key(settings: DemoSettings) -> Path:
    """A key that follows from the seed, so that the same demo gives the same bytes.

    There is nobody to protect here; `ingest` itself makes keys at random.
    """
    key = settings.out / "author.key"
    key.write_text(hashlib.sha256(f"demo {settings.seed}".encode()).hexdigest() + "\n")
    key.chmod(0o600)
    return key


def _stages(progress: Progress) -> Iterator[None]:
    titles = (
        "Make Reddit dumps and labelled posts, with a change planted at " + str(DEFAULT_CUT),
        "Ingest the dumps into Parquet",
        "Train a small model on the labelled posts",
        "Evaluate it on the test split",
        "Score the posts on Dask workers",
        "Study the scores before and after " + str(DEFAULT_CUT),
    )
    assert len(titles) == _STAGES  # noqa: S101  (the numbering below)
    for number, title in enumerate(titles, start=1):
        progress.note(f"\n[{number}/{_STAGES}] {title}")
        yield


def _claim(settings: DemoSettings) -> None:
    """Marks the folder as this demo's; refuses one that holds anything else, or another world."""
    out = settings.out
    if (out / _MARK).is_file():
        _check_same(settings, read_json(out / _MARK))
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(
            "exists and was not made by `corpus-lonely demo`", where=out, hint="Give another --out"
        )
    write_json(out / _MARK, {"note": _NOTE, "settings": settings.world()})


def _check_same(settings: DemoSettings, mark: Any) -> None:
    begun = mark.get("settings") if isinstance(mark, dict) else None
    begun = begun if isinstance(begun, dict) else {}
    differing = [
        f"--{name} {begun.get(name, 'unknown')}, not {value}"
        for name, value in settings.world().items()
        if begun.get(name) != value
    ]
    if differing:
        raise OutputError(
            f"holds a demo made with {', '.join(differing)}",
            where=settings.out,
            hint="Give another --out",
        )


def _training(settings: DemoSettings, labels: Path) -> TrainSettings:
    encoder = settings.out / "encoder"
    if not encoder.is_dir():
        # made anew it may differ in its bytes, and a finished model belongs to one encoder
        draft = settings.out / "encoder.draft"
        make_encoder(load_labels(labels, loneliness())["train"].texts, draft, settings.seed)
        draft.replace(encoder)
    return TrainSettings(
        labels=str(labels),
        encoder=str(encoder),
        out=settings.out / "model",
        # word vectors that start from nothing want far larger steps than a pretrained encoder
        learning_rate=2e-2,
        head_learning_rate=5e-4,
        max_tokens=256,
        epochs=settings.epochs,
        patience=settings.epochs,
        seed=settings.seed,
        # a second thread costs more than it gives on a network this small
        threads=1,
    )


def _scoring(settings: DemoSettings) -> ScoreSettings:
    return ScoreSettings(
        input=str(settings.out / "posts"),
        model=settings.out / "model",
        out=settings.out / "scores",
        cluster=ClusterSettings(workers=settings.workers),
    )
