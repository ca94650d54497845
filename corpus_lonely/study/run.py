"""A study from scores to a report: reads, estimates, draws, and writes at the end."""

import platform
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from corpus_lonely import __version__
from corpus_lonely.errors import OutputError, SettingsError
from corpus_lonely.files import write_json
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.study import charts, effects, gold
from corpus_lonely.study.apart import apart_table
from corpus_lonely.study.caveats import caveats
from corpus_lonely.study.coverage import coverage_of
from corpus_lonely.study.estimands import estimands, measures_told, sum_columns
from corpus_lonely.study.figures import Caption, draw_trends, save
from corpus_lonely.study.folder import LAST, whole_folder, write_table
from corpus_lonely.study.inference import resampled_cells
from corpus_lonely.study.page import page
from corpus_lonely.study.periods import UNITS
from corpus_lonely.study.reading import Sums, read_sums
from corpus_lonely.study.report import StudyReport
from corpus_lonely.study.scores import data_places, is_unfinished, score_facts
from corpus_lonely.study.selection import KINDS
from corpus_lonely.study.series import series_of

STRATA = ("subreddit", "kind")
PRIVATE = (
    "text", "title", "body", "selftext", "author", "author_flair", "post_id", "id", "name", "permalink", "url",
    "link_id", "parent_id", "crosspost",
)  # fmt: skip
"""Columns whose values no report shows, in whatever case."""
TABLES = (
    "monthly", "weekly", "periods", "estimates", "events", "kinds", "groups", "mix", "corrected",
)  # fmt: skip
FIGURES = ("trends", "effects", "events", "placebo", "sensitivity")
OURS = {
    *(f"{name}.{form}" for name in TABLES for form in ("csv", "parquet")),
    *(f"{name}.{form}" for name in FIGURES for form in ("svg", "png")),
}
"""Files that a report may have; of an earlier report, those that this one has not are taken away."""


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
    pre: int | None = None
    """Months before the cut that are compared, rounded up to whole ones (or weeks); all when None. Earlier ones
    serve trend and season."""
    post: int | None = None
    """Months from the cut on that are compared, rounded up likewise; all when None."""
    standardise: str | None = None
    """`subreddit` or `kind`: hold its mix at that of before, as one more estimate."""
    gold: Path | None = None
    """A labelled sample, to correct for the classifier's errors."""
    where: tuple[tuple[str, str], ...] = ()
    """Columns with the value that rows must have; several values of one column are alternatives."""
    posts: str | None = None
    """The posts that were scored: columns that scores lack are looked up in them, by `post_id`."""
    group: str | None = None
    """A column whose values are compared each by itself."""
    by: str = "month"
    """`week` for a table and a figure by week; too few authors are left out by week then."""

    def __post_init__(self) -> None:
        rules = (
            (
                self.kind in KINDS,
                f"--kind must be one of {', '.join(KINDS)}, got {self.kind!r}",
            ),
            (self.min_authors >= 1, f"--min-authors must be at least 1, got {self.min_authors}"),
            (
                0 < self.threshold < 1,
                f"--threshold must lie between 0 and 1, got {self.threshold:g}",
            ),
            (self.replicates >= 100, f"--replicates must be at least 100, got {self.replicates}"),
            (self.seed >= 0, f"--seed must be at least 0, got {self.seed}"),
            *(
                (months is None or months >= 1, f"--{name} must be at least 1, got {months}")
                for name, months in (("pre", self.pre), ("post", self.post))
            ),
            (
                self.group is None or self.group.strip().lower() not in PRIVATE,
                f"--group must be no column of texts, people or posts, got {self.group!r}",
            ),
            (
                self.by in UNITS,
                f"--by must be one of {', '.join(UNITS)}, got {self.by!r}",
            ),
            (
                self.standardise in (None, *STRATA),
                f"--standardise must be one of {', '.join(STRATA)}, got {self.standardise!r}",
            ),
        )
        for kept, rule in rules:
            if not kept:
                raise SettingsError(rule)


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
    estimates, placebo = effects.estimates_table(
        cells, sums.clusters, series_of(sums.months, columns, asked), sums.authors, taxonomy,
        windows=(settings.pre, settings.post), replicates=replicates, seed=seed, strata=strata,
    )  # fmt: skip
    coverage = coverage_of(
        sums.counted,
        sums.months if sums.weeks is None else sums.weeks,
        sums.authors_known,
        sums.periods,
        unfinished=is_unfinished(settings.scores),
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
        share_of_authors=sums.share_of_authors,
    )
    told = caveats(report, settings.kind, settings.min_authors)
    return replace(report, caveats=told)


def _check_out(settings: StudySettings) -> None:
    out = settings.out.resolve()
    for what, place in (("scores", settings.scores), ("posts", settings.posts)):
        if place is not None and data_places(place) & {out, *out.parents}:
            raise SettingsError(f"--out must not lie in the folder of {what}, got {settings.out}")
    if out.exists() and not out.is_dir():
        raise OutputError("is a file, not a folder", where=settings.out)


def _write(report: StudyReport, settings: StudySettings, folder: Path) -> None:
    for name, table in report.tables.items():
        write_table(table, folder, name)
    told = {}
    for name, (figure, title, words) in _figures(report, settings).items():
        svg, _ = save(figure, folder, name)
        told[name] = (svg.read_text("utf-8"), title, words)
    (folder / "report.html").write_text(page(report, settings.cut, told), "utf-8")
    write_json(folder / LAST, _facts(report, settings))


def _figures(report: StudyReport, settings: StudySettings) -> dict[str, tuple[Figure, str, str]]:
    """By name: the figure, its heading, and what it shows in words."""
    root = report.taxonomy.root.name
    moved = charts.strongest(report.periods, 5)
    names = [(root, root, "mean_probability"), *moved]
    unit, course = settings.by, report.course
    trends = draw_trends(course, report.taxonomy, settings.cut, _caption(report, settings))
    figures = {
        "trends": (
            trends, f"{unit.capitalize()} by {unit}",
            f"Shares by {unit}, with the cut dashed, and how many posts there are. All numbers are in {unit}ly.csv.",
        ),
        "effects": (
            charts.draw_effects(report.estimates, report.taxonomy),
            "What changed",
            "Each label's difference, after less before, with the interval that resamples authors and the one that "
            "reckons with shocks that months share too. An interval that leaves out 0 is a change that chance alone "
            "seldom makes. The numbers are in the tables below.",
        ),
        "events": (
            charts.draw_events(report.events, names, settings.cut),
            "When it changed",
            "Each month less the mean of the period before, with 95 % intervals (authors resampled): loneliness, and "
            "the labels whose change is least like chance. A change that begins well before the cut was not made by it. "
            "All numbers are in events.csv.",
        ),
    }  # fmt: skip
    if report.placebo is not None:
        asked = [(e.group, e.label, e.measure) for e in estimands(report.taxonomy)]
        rows = [charts.named(group, label) for group, label, _ in names]
        drawn = charts.draw_placebo(report.placebo, rows, [asked.index(key) for key in names])
        figures["placebo"] = (
            drawn, "Dates when nothing is known to have happened",
            "A jump at the cut means little where jumps at earlier dates are as large. The ranks are in the table of "
            "estimators.",
        )  # fmt: skip
    row = report.periods.row(0, named=True)
    ends = [row[name] for name in ("before", "difference", "difference_low", "difference_high")]
    if all(end is not None for end in ends) and 0 < ends[0] < 1:
        figures["sensitivity"] = (
            charts.draw_sensitivity(*ends), "Which drift of the classifier would explain it",
            "If the model's error rates changed with the cut, that alone would move the mean probability of loneliness. "
            f"{charts.drift_told(*ends[:2])} Only labelled posts can tell.",
        )  # fmt: skip
    return figures


def _caption(report: StudyReport, settings: StudySettings) -> Caption:
    kinds = " and ".join(f"{rows:,} {kind}s" for kind, rows in report.coverage.kinds.items())
    return Caption(
        f"Loneliness by {settings.by}, before and after {settings.cut}",
        f"{kinds}. A point is a {settings.by}'s mean of model scores, not corrected for classifier error. "
        f"Dashed: the cut.\n{settings.by.capitalize()}s with fewer than {settings.min_authors} {report.coverage.unit} are left out. "
        "Shares of lonely posts weigh each post by its probability of being lonely.",
        settings.threshold,
    )


def _facts(report: StudyReport, settings: StudySettings) -> dict[str, Any]:
    """What study.json tells: nothing that differs between two equal runs."""
    asked = {**asdict(settings), "cut": str(settings.cut), "out": str(settings.out)}
    asked["gold"] = None if settings.gold is None else str(settings.gold)
    facts = score_facts(settings.scores)
    return {
        "settings": asked,
        "scored_by": {key: facts[key] for key in ("run", "versions") if key in facts},
        "taxonomy": report.taxonomy.name,
        "measures": measures_told(report.taxonomy.root, settings.threshold),
        "interval": "95 % percentile bootstrap over authors; a post without an author is a cluster of its own",
        "estimators": effects.ESTIMATORS,
        "coverage": asdict(report.coverage),
        "caveats": report.caveats,
        "versions": {
            "corpus_lonely": __version__,
            "python": platform.python_version(),
            **{
                name: version(name)
                for name in ("polars", "numpy", "scipy", "statsmodels", "matplotlib")
            },
        },
    }
