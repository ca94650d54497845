"""A study from scores to a report: reads, sums, resamples, draws, and writes at the end."""

import platform
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from corpus_lonely import __version__
from corpus_lonely.errors import InputError, OutputError, SettingsError, first_line
from corpus_lonely.files import write_json
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.study import aggregate
from corpus_lonely.study.effects import monthly_table, periods_table, with_suppressed
from corpus_lonely.study.figures import Caption, draw_trends, save
from corpus_lonely.study.folder import LAST, whole_folder, write_table
from corpus_lonely.study.report import (
    StudyReport,
    caveats,
    coverage_of,
    measures_told,
)
from corpus_lonely.study.scores import (
    data_places,
    is_unfinished,
    scan_scores,
    score_facts,
    taxonomy_of,
)
from corpus_lonely.taxonomy import Taxonomy


@dataclass(frozen=True)
class StudySettings:
    """What `corpus-lonely study` is asked."""

    scores: str
    """A file, folder, glob or URL of scores."""
    cut: date
    """Midnight UTC of this day begins the period after."""
    out: Path
    """The folder of the report."""
    kind: str = "both"
    """`submission`, `comment` or `both`."""
    min_authors: int = 5
    """Months with fewer different authors are left out of tables, figure and periods."""
    threshold: float = 0.5
    """From this P(lonely) on a post counts as lonely in `share_at_threshold`."""
    replicates: int = 2000
    """Bootstrap replicates."""
    seed: int = 0

    def __post_init__(self) -> None:
        rules = (
            (
                self.kind in aggregate.KINDS,
                f"--kind must be one of {', '.join(aggregate.KINDS)}, got {self.kind!r}",
            ),
            (self.min_authors >= 1, f"--min-authors must be at least 1, got {self.min_authors}"),
            (
                0 < self.threshold < 1,
                f"--threshold must lie between 0 and 1, got {self.threshold:g}",
            ),
            (self.replicates >= 100, f"--replicates must be at least 100, got {self.replicates}"),
            (self.seed >= 0, f"--seed must be at least 0, got {self.seed}"),
        )
        for kept, rule in rules:
            if not kept:
                raise SettingsError(rule)


def run_study(settings: StudySettings, progress: Progress | None = None) -> StudyReport:
    """Reads scores, compares the time before and after the cut, and writes the report folder.

    Writes monthly and periods (CSV and Parquet), trends (SVG and PNG) and study.json. Files of an
    earlier report are replaced once all new ones are made; study.json is there when all are in place.
    Raises InputError, SettingsError (a cut outside the data), OutputError.
    """
    progress = progress or Silent()
    _check_out(settings)
    progress.start("Reading scores", 4, "steps")
    taxonomy, counted, months, authors = _read(settings)
    progress.advance(1, "comparing the periods")
    periods = periods_table(authors, taxonomy, settings.replicates, settings.seed)
    monthly = monthly_table(months, taxonomy)
    coverage = coverage_of(counted, months, authors, unfinished=is_unfinished(settings.scores))
    told = caveats(coverage, settings.kind, settings.min_authors)
    report = StudyReport(
        settings.out, taxonomy, monthly, periods, coverage, told, settings.threshold
    )
    progress.advance(1, "drawing")
    with whole_folder(settings.out) as staging:
        _write(report, settings, staging)
        names = sorted(path.name for path in staging.iterdir())
        progress.advance(1, "writing")
    progress.advance(1)
    progress.finish()
    return replace(report, files=[settings.out / name for name in names])


def _check_out(settings: StudySettings) -> None:
    out = settings.out.resolve()
    if data_places(settings.scores) & {out, *out.parents}:
        raise SettingsError(f"--out must not lie in the folder of scores, got {settings.out}")
    if out.exists() and not out.is_dir():
        raise OutputError("is a file, not a folder", where=settings.out)


def _read(
    settings: StudySettings,
) -> tuple[Taxonomy, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The taxonomy; rows by kind and reason; sums by month; sums by author."""
    frame, taxonomy = scan_scores(settings.scores), taxonomy_of(settings.scores)
    selection = aggregate.Selection(taxonomy, settings.cut, settings.kind, settings.threshold)
    rows = aggregate.usable(frame, selection, settings.scores)
    (sums,) = _collect([aggregate.monthly_sums(rows, taxonomy)], settings)
    _check_cut(sums, settings)
    months = with_suppressed(sums, settings.min_authors)
    _check_authors(months, settings)
    short = months.filter("suppressed").select("month", "period")
    selection = replace(selection, suppressed=tuple(short.iter_rows()))
    rows = aggregate.usable(frame, selection, settings.scores)
    counted, authors = _collect(
        [aggregate.counted_rows(frame, selection), aggregate.author_sums(rows, taxonomy)], settings
    )
    return taxonomy, counted, months, authors


def _collect(frames: list[pl.LazyFrame], settings: StudySettings) -> list[pl.DataFrame]:
    try:
        return pl.collect_all(frames, engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = first_line(error)
        raise InputError(f"cannot be read ({reason})", where=settings.scores) from error


def _check_cut(months: pl.DataFrame, settings: StudySettings) -> None:
    if months.is_empty():
        raise InputError(
            "has no row with status ok and a date"
            + ("" if settings.kind == "both" else f" that is a {settings.kind}"),
            where=settings.scores,
        )
    sides = set(months["period"])
    if len(sides) == 1:
        first, last = (months[end].dt.date().sort() for end in ("first", "last"))
        raise SettingsError(
            f"--cut must have posts before and after it, got {settings.cut}: all posts of "
            f"{settings.scores} lie {sides.pop()} it ({first[0]} to {last[-1]})"
        )


def _check_authors(months: pl.DataFrame, settings: StudySettings) -> None:
    unit = "authors" if months["authors"].sum() else "posts"
    for period in (aggregate.BEFORE, aggregate.AFTER):
        if months.filter(pl.col("period") == period)["suppressed"].all():
            raise InputError(
                f"has {period} {settings.cut} only months with fewer than --min-authors "
                f"{settings.min_authors} {unit}",
                where=settings.scores,
                hint="Choose another --cut, or score more posts",
            )


def _write(report: StudyReport, settings: StudySettings, folder: Path) -> None:
    for name, table in (("monthly", report.monthly), ("periods", report.periods)):
        write_table(table, folder, name)
    figure = draw_trends(report.monthly, report.taxonomy, settings.cut, _caption(report, settings))
    save(figure, folder, "trends")
    write_json(folder / LAST, _facts(report, settings))


def _caption(report: StudyReport, settings: StudySettings) -> Caption:
    kinds = " and ".join(f"{rows:,} {kind}s" for kind, rows in report.coverage.kinds.items())
    return Caption(
        f"Loneliness by month, before and after {settings.cut}",
        f"{kinds}. A point is a month's mean of model scores, not corrected for classifier error. "
        f"Dashed: the cut.\nMonths with fewer than {settings.min_authors} {report.coverage.unit} are left out. "
        "Shares of lonely posts weigh each post by its probability of being lonely.",
        settings.threshold,
    )


def _facts(report: StudyReport, settings: StudySettings) -> dict[str, Any]:
    """What study.json tells: nothing that differs between two equal runs."""
    asked = {**asdict(settings), "cut": str(settings.cut), "out": str(settings.out)}
    facts = score_facts(settings.scores)
    return {
        "settings": asked,
        "scored_by": {key: facts[key] for key in ("run", "versions") if key in facts},
        "taxonomy": report.taxonomy.name,
        "measures": measures_told(report.taxonomy.root, settings.threshold),
        "interval": "95 % percentile bootstrap over authors; a post without an author is a cluster of its own",
        "coverage": asdict(report.coverage),
        "caveats": report.caveats,
        "versions": {
            "corpus_lonely": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("polars", "numpy", "matplotlib")},
        },
    }
