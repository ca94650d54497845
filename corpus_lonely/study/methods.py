"""What was done, as a paragraph to paste, with the numbers of the study."""

from corpus_lonely.study.report import StudyReport


def _selected(where: tuple[tuple[str, str], ...]) -> str:
    """Which posts count, where not all do."""
    values: dict[str, list[str]] = {}
    for column, value in where:
        values.setdefault(column, []).append(value)
    told = [f"{column} {' or '.join(some)}" for column, some in values.items()]
    return f"Only posts with {' and '.join(told)} count. " if told else ""


def methods(report: StudyReport) -> str:
    """A paragraph on what was done, with the numbers of this study."""
    periods, coverage = report.periods.row(0, named=True), report.coverage
    notes = dict(report.estimates.select("estimator", "note").unique().iter_rows())
    text = (
        f"{_selected(report.where)}We scored {coverage.kept:,} posts by {coverage.authors:,} authors and compared {periods['posts_before']:,} posts by "
        f"{periods['authors_before']:,} authors before {report.cut} with {periods['posts_after']:,} posts by "
        f"{periods['authors_after']:,} authors from that day (UTC) on. A label's share among lonely posts is the sum of "
        "P(lonely) * P(label | lonely) over the sum of P(lonely). Differences have 95 % percentile intervals of a bootstrap "
        "that resamples authors with all their posts, widened for authors who are few or write unequally (leverage as in Bell and McCaffrey 2002, "
        "t with the degrees of freedom of the jackknife); a post without an author is a cluster of its own. "
        "P-values were adjusted over the labels by Benjamini and Hochberg's procedure. For a second interval of the same differences, authors and "
        "blocks of three months were both taken as clusters: to the variance that authors make, their leverage undone, comes that of shocks of "
        "blocks, which is what blocks differ by beyond what their authors make of it, with Satterthwaite's degrees of freedom"
    )
    if {"blocks_of_time", "seasonal", "its_level"} & set(notes):
        text += (
            ". Estimates by month reckon with authors who write in several months, by the covariance of months over resampled authors, and "
            "with shocks that a month brings to all, whose restricted likelihood was integrated over their size with a flat prior"
        )
    if "its_level" in notes:
        text += (
            f". An interrupted time series ({notes['its_level']}) was fitted by generalised least squares, with shocks that may last from "
            "month to month (AR(1), integrated over the correlation too)"
        )
    if "placebo_dates" in notes:
        text += (
            f". Randomisation inference moved the cut to earlier dates ({notes['placebo_dates']})"
        )
    if "seasonal" in notes:
        text += (
            f". The same months of earlier years served as seasonal control ({notes['seasonal']})"
        )
    if (
        report.labelled is not None
        and report.corrected is not None
        and not report.corrected.is_empty()
    ):
        text += (
            f". Shares were corrected with {len(report.labelled.rows):,} labelled posts by prediction-powered inference "
            "(Angelopoulos et al. 2023, 2024), and also by Rogan and Gladen's (1978) estimator, of mean scores (Bella et al. 2010) "
            "and of the share at a threshold"
        )
    else:
        text += ". Scores were not corrected for classifier error"
    return text + "."
