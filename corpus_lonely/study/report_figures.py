"""The figures of a report, each with its heading and what it shows in words."""

from matplotlib.figure import Figure

from corpus_lonely.study import charts
from corpus_lonely.study.estimands import estimands
from corpus_lonely.study.figures import Caption, draw_trends
from corpus_lonely.study.report import StudyReport
from corpus_lonely.study.settings import StudySettings


def report_figures(
    report: StudyReport, settings: StudySettings
) -> dict[str, tuple[Figure, str, str]]:
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
