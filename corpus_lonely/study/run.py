"""A study from scores to a report: reads, estimates, draws, and writes at the end."""

import platform
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from corpus_lonely import __version__
from corpus_lonely.errors import OutputError, SettingsError
from corpus_lonely.files import write_json
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.study import effects, gold
from corpus_lonely.study.apart import apart_table
from corpus_lonely.study.caveats import caveats
from corpus_lonely.study.coverage import coverage_of
from corpus_lonely.study.estimands import estimands, measures_told, sum_columns
from corpus_lonely.study.estimates import ESTIMATORS, estimates_table
from corpus_lonely.study.figures import save
from corpus_lonely.study.folder import LAST, whole_folder, write_table
from corpus_lonely.study.inference import resampled_cells
from corpus_lonely.study.page import page
from corpus_lonely.study.reading import read_sums
from corpus_lonely.study.report import StudyReport
from corpus_lonely.study.report_figures import report_figures
from corpus_lonely.study.scores import data_places, files_of, is_unfinished, score_facts
from corpus_lonely.study.second_pass import Sums
from corpus_lonely.study.series import series_of
from corpus_lonely.study.settings import StudySettings
from corpus_lonely.study.wholeness import missing_parts
from corpus_lonely.tables import footer

TABLES = (
    "monthly", "weekly", "periods", "estimates", "events", "kinds", "groups", "mix", "corrected",
)  # fmt: skip
FIGURES = ("trends", "effects", "events", "placebo", "sensitivity")
OURS = {
    *(f"{name}.{form}" for name in TABLES for form in ("csv", "parquet")),
    *(f"{name}.{form}" for name in FIGURES for form in ("svg", "png")),
}
"""Files that a report may have; of an earlier report, those that this one has not are taken away."""


def run_study(settings: StudySettings, progress: Progress | None = None) -> StudyReport:
    """Reads scores, compares the time before and after the cut, and writes the report folder.

    Writes tables (CSV and Parquet), figures (SVG and PNG), report.html and study.json. Files of an
    earlier report are replaced once all new ones are made; study.json is there when all are in place.
    Raises InputError, SettingsError (a cut outside the data), OutputError.
    """
    progress = progress or Silent()
    _check_out(settings)
    sums = read_sums(settings, progress)
    progress.start("Making the report", 3, "steps")
    progress.advance(0, "comparing the periods")
    report = _estimated(sums, settings)
    progress.advance(1, "drawing")
    with whole_folder(settings.out, OURS) as staging:
        _write(report, settings, staging)
        names = sorted(path.name for path in staging.iterdir())
        progress.advance(1, "writing")
    progress.advance(1)
    progress.finish()
    return replace(report, files=[settings.out / name for name in names])


def _estimated(sums: Sums, settings: StudySettings) -> StudyReport:
    taxonomy = sums.taxonomy
    columns, asked = sum_columns(taxonomy), estimands(taxonomy)
    replicates, seed = settings.replicates, settings.seed
    cells = resampled_cells(sums.clusters, columns, replicates, seed)
    strata = None
    if sums.strata is not None:
        strata = resampled_cells(sums.strata, columns, replicates, seed)
    estimates, placebo = estimates_table(
        cells, sums.clusters, series_of(sums.months, columns, asked, cells), sums.authors, taxonomy,
        windows=(settings.pre, settings.post), replicates=replicates, seed=seed, strata=strata,
    )  # fmt: skip
    coverage = coverage_of(
        sums.counted,
        sums.months if sums.weeks is None else sums.weeks,
        sums.authors_known,
        sums.periods,
        unfinished=is_unfinished(settings.scores),
        missing_parts=sum(missing for missing, _ in missing_parts(settings.scores).values()),
    )
    alone = {}
    for name, own in (("kind", sums.kinds), ("group", sums.groups)):
        if own is not None:
            drawn = resampled_cells(own, columns, replicates, seed)
            alone[name] = apart_table(
                own, drawn, taxonomy, settings.min_authors, name, sums.people[name]
            )
    corrected = None
    if sums.labelled is not None:
        corrected = gold.corrected_table(sums.labelled, cells, asked)
    report = StudyReport(
        settings.out,
        settings.cut,
        taxonomy,
        monthly=effects.monthly_table(sums.months, taxonomy),
        periods=effects.periods_table(cells, sums.periods, taxonomy),
        coverage=coverage,
        caveats=[],
        threshold=settings.threshold,
        estimates=estimates,
        events=effects.events_table(cells, sums.months, taxonomy),
        corrected=corrected,
        labelled=sums.labelled,
        placebo=placebo,
        kinds=alone.get("kind"),
        groups=alone.get("group"),
        grouped_by=settings.group,
        weekly=None if sums.weeks is None else effects.monthly_table(sums.weeks, taxonomy, "week"),
        mix=sums.mix,
        where=tuple(settings.where),
        share_of_authors=sums.share_of_authors,
    )
    told = caveats(report, settings.kind, settings.min_authors)
    return replace(report, caveats=told)


def _check_out(settings: StudySettings) -> None:
    out = settings.out.resolve()
    for what, place in (
        ("scores", settings.scores),
        ("posts", settings.posts),
        ("marks", settings.marks),
    ):
        if place is not None and data_places(place) & {out, *out.parents}:
            raise SettingsError(f"--out must not lie in the folder of {what}, got {settings.out}")
    if out.exists() and not out.is_dir():
        raise OutputError("is a file, not a folder", where=settings.out)


def _write(report: StudyReport, settings: StudySettings, folder: Path) -> None:
    for name, table in report.tables.items():
        write_table(table, folder, name)
    told = {}
    for name, (figure, title, words) in report_figures(report, settings).items():
        svg, _ = save(figure, folder, name)
        told[name] = (svg.read_text("utf-8"), title, words)
    facts = _facts(report, settings)
    (folder / "report.html").write_text(page(report, told, _made_by(facts)), "utf-8")
    write_json(folder / LAST, facts)


def _made_by(facts: dict[str, Any]) -> str:
    """What made the page, and of whose scores."""
    model = facts["scored_by"].get("run", {}).get("model")
    told = "" if model is None else f" (fingerprint of the model: {model[:12]})"
    return (
        f"Made by corpus-lonely {facts['versions']['corpus_lonely']} from scores{told}. study.json has all settings, counts and "
        "versions, and the fingerprints in full."
    )


def _marked_by(marks: str | None) -> dict[str, Any] | None:
    """How the marks were made, as their footer tells."""
    if marks is None:
        return None
    facts = footer(files_of(marks)[0])
    return {key: facts[key] for key in ("settings", "input", "versions") if key in facts}


def _facts(report: StudyReport, settings: StudySettings) -> dict[str, Any]:
    """What study.json tells: nothing that differs between two equal runs."""
    asked = {**asdict(settings), "cut": str(settings.cut), "out": str(settings.out)}
    asked["gold"] = None if settings.gold is None else str(settings.gold)
    facts = score_facts(settings.scores)
    return {
        "settings": asked,
        "scored_by": {key: facts[key] for key in ("run", "versions") if key in facts},
        "marked_by": _marked_by(settings.marks),
        "taxonomy": report.taxonomy.name,
        "measures": measures_told(report.taxonomy.root, settings.threshold),
        "interval": "95 % percentile bootstrap over authors, widened where they are few or unequal; a post without an author is a cluster of its own",
        "estimators": ESTIMATORS,
        "coverage": asdict(report.coverage),
        "caveats": report.caveats,
        "versions": {
            "corpus_lonely": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("polars", "numpy", "scipy", "matplotlib")},
        },
    }
