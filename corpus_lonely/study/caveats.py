"""What a study cannot say, a sentence each."""

from collections.abc import Iterator

import polars as pl

from corpus_lonely.study.coverage import Coverage
from corpus_lonely.study.gold import FEWEST
from corpus_lonely.study.mix import caveats_of
from corpus_lonely.study.periods import AFTER, BEFORE
from corpus_lonely.study.report import StudyReport

CLASSIFIER_CAVEAT = (
    "These are differences of model scores, not corrected for classifier error: where the model errs "
    "differently before and after, part or all of a difference may be the model's; and as posts that "
    "are not lonely weigh in a little, a change in how many are lonely can move the labels by itself"
)
NO_GOLD_CAVEAT = (
    "Only the error rates on the labels the model was trained with are known, and those are of another "
    "corpus: label a sample of yours (`corpus-lonely sample`) and give it with --gold"
)


def caveats(report: StudyReport, kind: str, min_authors: int) -> list[str]:
    """What the data and the method cannot say, one sentence each."""
    coverage = report.coverage
    told = [
        *_about_errors(report),
        _about_periods(report),
        _about_intervals(),
        *_about_estimators(report),
        *_about_kinds(coverage, kind),
        *caveats_of(report.mix, corrected=report.is_corrected),
        *_about_groups(report, min_authors),
        *_about_authors(coverage, min_authors, report.unit),
        *_about_rows(coverage),
    ]
    return [f"{sentence}." for sentence in told]


def _about_errors(report: StudyReport) -> Iterator[str]:
    if report.corrected is None or report.labelled is None:
        yield CLASSIFIER_CAVEAT
        yield NO_GOLD_CAVEAT
        root = report.taxonomy.root.name
        row = report.periods.filter(
            pl.col("label") == root, pl.col("measure") == "mean_probability"
        )
        before = row["before"].item()
        if before is not None and not 0.3 <= before <= 0.65:
            yield (
                f"The mean probability of being lonely is {100 * before:.0f} % before, far from the 47 % "
                "of FIG-Loneliness: a model trained there has other error rates here"
            )
        return
    labelled = report.labelled
    of_rows = (
        f"of {labelled.read:,} rows of the sample {labelled.blank:,} are not filled in and {labelled.unknown:,} "
        "have no score in the periods compared"
    )
    if not report.is_corrected:
        yield CLASSIFIER_CAVEAT
        yield (
            f"There are too few labelled posts to correct anything: {labelled.posts(BEFORE):,} before and "
            f"{labelled.posts(AFTER):,} after, and {FEWEST} are needed in each period; {of_rows}"
        )
        return
    yield (
        f"Corrected values stand on {len(labelled.rows):,} labelled posts; {of_rows}. They take the labels for "
        "the truth, and count each labelled post as independent of the others"
    )
    if labelled.left_out > 0:
        yield (
            f"Corrected values are not of all posts: strata of the sample that stand for {100 * labelled.left_out:.1f} % of them "
            "have no labelled post"
        )


def _about_periods(report: StudyReport) -> str:
    there = _estimators(report, "seasonal", "its_level")
    there += [] if report.placebo is None else ["the placebo dates"]
    return (
        "A difference between two periods is no effect of what happened at the cut: trend and season are not taken out of it. "
        + (
            f"Compare {_listed(there)}"
            if there
            else "There are too few months to compare estimates that do so"
        )
    )


def _about_intervals() -> str:
    return (
        "The intervals of before against after resample authors; what a month does to everyone at once is not in them, but in "
        "`authors_and_months`. q adjusts p for the number of labels (Benjamini and Hochberg); intervals are not adjusted"
    )


def _estimators(report: StudyReport, *names: str) -> list[str]:
    """Those of them that the study has."""
    there = set(report.estimates["estimator"])
    return [f"`{name}`" for name in names if name in there]


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _about_estimators(report: StudyReport) -> Iterator[str]:
    there = set(report.estimates["estimator"])
    if "seasonal" not in there:
        yield (
            "The season is not taken out: that takes the same months of an earlier year, before the "
            "months compared"
        )
    if report.placebo is None:
        yield "There are too few months before the cut for placebo dates"
    elif report.placebo.smallest_p > 0.05:
        yield (
            f"With {len(report.placebo.months)} placebo dates no p-value of theirs can be below "
            f"{report.placebo.smallest_p:.3f}, however large the change"
        )
    if report.share_of_authors < 1:
        yield (
            f"Estimates within authors stand on a random {100 * report.share_of_authors:.1f} % of the "
            "authors, to bound memory"
        )


def _about_kinds(coverage: Coverage, kind: str) -> Iterator[str]:
    if kind == "both" and len(coverage.kinds) > 1:
        counts = " and ".join(f"{rows:,} {name}s" for name, rows in coverage.kinds.items())
        yield (
            f"{counts} are pooled, and a change in their mix looks like a change in the labels; "
            "`kinds.csv` has each by itself, and --kind studies one alone"
        )
    if coverage.kinds.get("comment"):
        yield "For a model trained on submissions alone, as on FIG-Loneliness, comments are another domain"


def _about_groups(report: StudyReport, min_authors: int) -> Iterator[str]:
    if report.groups is not None and report.groups.is_empty():
        yield (
            f"The groups of {report.grouped_by!r} are not shown: fewer than two have {min_authors} authors in both periods, or those "
            "left over would be found by subtraction"
        )


def _about_authors(coverage: Coverage, min_authors: int, by: str) -> Iterator[str]:
    if not coverage.counts_authors:
        yield (
            "No author is known: each post counts as an author of its own, and the intervals are "
            "too narrow if some wrote many"
        )
    elif coverage.posts_without_author:
        yield (
            f"{coverage.posts_without_author:,} posts are without an author, and each counts as an "
            "author of its own in the intervals"
        )
    if coverage.suppressed:
        yield (
            f"{by.capitalize()}s with fewer than {min_authors} {coverage.unit} are left out, of the periods "
            f"too: {', '.join(coverage.suppressed)}"
        )


def _about_rows(coverage: Coverage) -> Iterator[str]:
    if coverage.missing_months:
        unit = "Weeks" if len(coverage.missing_months[0]) > len("2020-03") else "Months"
        yield f"{unit} without a post: {', '.join(coverage.missing_months)}"
    if coverage.dropped:
        reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in coverage.dropped.items())
        yield f"Of {coverage.read:,} rows {coverage.kept:,} are counted; left out: {reasons}"
    if coverage.unfinished or coverage.missing_parts:
        parts = f" (parts missing: {coverage.missing_parts:,})" if coverage.missing_parts else ""
        yield f"Scoring has not ended{parts}: the rows still missing may be of one time more than of another"
