"""The report as a page: whole without a network, its tables and figures there, read by tools and by Chromium."""

import re
import shutil
import subprocess
from collections import Counter
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from corpus_lonely.study.methods import methods
from corpus_lonely.study.report import StudyReport
from corpus_lonely.study.run import StudySettings, run_study

VOID = {"meta", "link", "br", "img", "hr", "path", "use", "rect"}


class Outline(HTMLParser):
    """Tags by name, ids, texts of headings, and whether tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.labels: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        told = dict(attrs)
        self.ids += [told["id"]] if told.get("id") else []  # type: ignore[list-item]
        if tag == "a":
            self.links.append(told.get("href") or "")
        if tag == "svg":
            self.labels.append(told.get("aria-label") or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(scores: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyReport:
    out = tmp_path_factory.mktemp("page") / "report"
    return run_study(StudySettings(str(scores), date(2020, 3, 11), out, replicates=200))


@pytest.fixture(scope="module")
def text(report: StudyReport) -> str:
    return (report.out / "report.html").read_text("utf-8")


def test_it_is_whole_and_well_formed(text: str) -> None:
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert outline.tags["svg"] == 5
    assert all(len(label) > 20 for label in outline.labels)
    assert [name for name, count in Counter(outline.ids).items() if count > 1] == []
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)
    assert outline.tags["caption"] == outline.tags["table"] >= 10
    # nothing is fetched: addresses stand in the SVGs' namespaces alone
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=\"(?!data:)", text)
    addresses = set(re.findall(r"https?://[\w./]+", text))
    assert all(
        "w3.org" in a or "purl.org" in a or "creativecommons" in a or "matplotlib.org" in a
        for a in addresses
    )


def test_the_numbers_are_those_of_the_tables(report: StudyReport, text: str) -> None:
    row = report.periods.row(
        by_predicate=(pl.col("label") == "physical") & (pl.col("measure") == "share_of_lonely"),
        named=True,
    )
    assert f"<td>{100 * row['difference']:+.1f}</td>" in text
    assert "context: physical" in text[: text.index("<nav")]
    for caveat in report.caveats:
        assert caveat[:40].replace("'", "&#x27;").replace(">", "&gt;") in text


def test_the_methods_have_the_real_numbers(report: StudyReport) -> None:
    told = methods(report)
    assert (
        f"We scored {report.coverage.kept:,} posts by {report.coverage.authors:,} authors" in told
    )
    assert "AR(1) errors by restricted maximum likelihood" in told
    assert "not corrected for classifier error" in told


def test_no_author_and_no_id_is_on_the_page(text: str, table: pl.DataFrame) -> None:
    words = set(re.findall(r"\w+", text))
    assert not words & {*table["post_id"], *table["author"].drop_nulls()}


CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_it_opens_in_chromium_without_a_word_on_the_console(
    report: StudyReport, tmp_path: Path
) -> None:
    shot = tmp_path / "shot.png"
    ran = subprocess.run(
        [CHROMIUM or "", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         f"--user-data-dir={tmp_path / 'profile'}", "--window-size=390,2000", f"--screenshot={shot}",
         (report.out / "report.html").resolve().as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "CONSOLE" not in ran.stderr
    assert shot.stat().st_size > 20_000
