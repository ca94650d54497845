"""The report as a page: whole without a network, its tables and figures there, read by tools and by Chromium."""

import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import date
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from corpus_lonely.study.caveats import caveats
from corpus_lonely.study.estimates import TITLES
from corpus_lonely.study.methods import methods
from corpus_lonely.study.page_months import heat_html
from corpus_lonely.study.report import StudyReport
from corpus_lonely.study.run import run_study
from corpus_lonely.study.settings import StudySettings

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


def test_what_it_tells_to_look_at_is_there(report: StudyReport, text: str) -> None:
    limits = text[text.index('id="limits"') : text.index('id="figure-trends"')]
    said = set(re.findall(r"“(.*?)”", limits))
    assert said == {TITLES["authors_and_months"], TITLES["its_level"]}
    assert {name for name, title in TITLES.items() if title in said} <= set(report.estimates["estimator"])  # fmt: skip
    few = report.estimates.filter(pl.col("estimator") != "its_level")
    told = " ".join(caveats(replace(report, estimates=few, placebo=None), "both", 5))
    assert "its_level" not in told
    assert "There are too few months to compare estimates that do so" in told
    assert "share at 0.5 or above" in text
    assert "before 2020-03-11 with" in text[text.index('id="methods"') :]
    assert "Made by corpus-lonely " in text[text.index("<footer") :]


def test_no_table_of_months_is_left_with_a_few(report: StudyReport) -> None:
    months = [f"{year}-{month:02d}" for year in (2017, 2018, 2019) for month in range(1, 13)][:26]
    row = {"period": "before", "group": "lonely", "label": "lonely", "measure": "mean_probability", "value": 0.5}  # fmt: skip
    monthly = pl.DataFrame([{**row, "month": month, "holds_cut": False} for month in months])
    heads = re.findall("<thead>(.*?)</thead>", heat_html(replace(report, monthly=monthly)))
    assert [head.count("<th ") - 1 for head in heads] == [13, 13]


def test_the_methods_have_the_real_numbers(report: StudyReport) -> None:
    told = methods(report)
    assert (
        f"We scored {report.coverage.kept:,} posts by {report.coverage.authors:,} authors" in told
    )
    assert "by the covariance of months over resampled authors" in told
    assert "AR(1), integrated over the correlation too" in told
    assert "not corrected for classifier error" in told


def test_no_author_and_no_id_is_on_the_page(text: str, table: pl.DataFrame) -> None:
    words = set(re.findall(r"\w+", text))
    assert not words & {*table["post_id"], *table["author"].drop_nulls()}


CHROMIUM = next(
    filter(
        None,
        map(
            shutil.which,
            ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"),
        ),
    ),
    None,
)
PROBE = """
<script>
const wide = [...document.querySelectorAll("body *")].filter((e) => {
  for (let up = e; up; up = up.parentElement) if (up.matches(".scroll")) return false;
  return e.getBoundingClientRect().right > innerWidth + 1;
});
const scrolls = [...document.querySelectorAll(".scroll")];
const told = {
  charts: [...document.querySelectorAll("svg")].map((svg) => {
    const box = svg.getBoundingClientRect();
    return [box.width, box.height, svg.querySelectorAll("path, use").length];
  }),
  tallest_text: Math.max(...[...document.querySelectorAll("svg text")].map((t) => t.getBoundingClientRect().height)),
  wide: wide.map((e) => e.outerHTML.slice(0, 80)),
  cut_off: scrolls.filter((e) => e.scrollWidth > e.clientWidth && e.tabIndex !== 0).length,
  scrolled: scrolls.filter((e) => e.scrollWidth > e.clientWidth).length,
  unnamed: scrolls.filter((e) => !e.getAttribute("aria-label") || !e.getAttribute("role")).length,
  width: innerWidth,
};
document.title = "told " + JSON.stringify(told);
</script>
"""


def opened(page: Path, folder: Path, *asked: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CHROMIUM or "", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
         f"--user-data-dir={folder / 'profile'}", *asked, page.resolve().as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [1100, 390])
def test_chromium_shows_it_whole_without_a_word_on_the_console(
    report: StudyReport, tmp_path: Path, width: int
) -> None:
    page, shot = report.out / "report.html", tmp_path / "shot.png"
    # the page as it is: nothing on the console, and its charts' colours on the picture
    ran = opened(page, tmp_path, f"--window-size={width},4000", f"--screenshot={shot}")
    assert "CONSOLE" not in ran.stderr
    picture = imread(shot)[..., :3]
    assert picture.shape[1] == width
    for colour in ("#0072B2", "#D55E00"):
        assert (np.abs(picture - to_rgb(colour)).max(axis=2) < 0.02).sum() > 200
    # a copy that tells what a reader would see
    probe = tmp_path / "probe.html"
    probe.write_text(page.read_text("utf-8").replace("</body>", f"{PROBE}</body>"), "utf-8")
    ran = opened(probe, tmp_path, f"--window-size={width},2000", "--dump-dom")
    found = re.search(r"<title>told (.*?)</title>", ran.stdout)
    assert found is not None
    told = json.loads(unescape(found[1]))
    assert told["width"] == width
    assert len(told["charts"]) == 5
    assert all(wide > 500 and high > 200 and marks > 20 for wide, high, marks in told["charts"])
    assert told["wide"] == []
    assert (told["cut_off"], told["unnamed"]) == (0, 0)
    assert (told["scrolled"] > 5) == (width < 500)
    assert told["tallest_text"] > 8


def test_a_console_error_would_be_seen(tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    page = tmp_path / "bad.html"
    page.write_text("<html><body><script>nowhere.nothing()</script></body></html>")
    assert "CONSOLE" in opened(page, tmp_path, "--dump-dom").stderr
