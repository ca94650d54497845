"""Tables as they are printed: who competes for the bold figure, notes, escapes."""

import math

from corpus_lonely.training.experiment.compare import Difference
from corpus_lonely.training.experiment.tables import (
    Block,
    Row,
    Table,
    differences_csv,
    latex,
    markdown,
    one_block,
    tidy,
)


def table(*rows: Row) -> Table:
    return Table("A table", ("accuracy",), (Block("Context", rows),))


def row(name: str, value: float, deviation: float = 0.01, note: str = "") -> Row:
    return Row(name, {"accuracy": (value, deviation)}, note=note)


def test_one_run_does_not_compete_for_the_bold_figure() -> None:
    rows = table(row("A", 0.6), row("B", 0.7), row("C", 0.9, math.nan, "1 seed"))
    page = markdown(rows)
    assert "| B | **0.7000** ± 0.0100 |" in page
    assert "| C (1 seed) | 0.9000 |" in page
    assert "context,C,ours,1 seed,accuracy,0.900000," in tidy(rows)


def test_differences_over_posts_alone_say_so_and_are_not_bold() -> None:
    told = {
        name: [Difference("context", "js", -0.02, -0.03, -0.01, over_seeds)]
        for name, over_seeds in (("A", True), ("B", False))
    }
    page = one_block("Context", told, ("js",))
    assert "| Context | JS ↓ |" in page
    assert "| A | **-0.0200** [-0.0300, -0.0100] |" in page
    assert "| B (over posts alone) | -0.0200 [-0.0300, -0.0100] |" in page
    lines = differences_csv(told).splitlines()
    assert [line.rpartition(",")[2] for line in lines] == [
        "interval_over",
        "posts and seeds",
        "posts",
    ]


def test_a_bar_in_a_name_does_not_break_the_row() -> None:
    assert r"| A \| B | 0.6000 ± 0.0100 |" in markdown(table(row("A | B", 0.6)))
    told = {"A | B": [Difference("context", "js", -0.02, -0.03, -0.01)]}
    assert r"| A \| B | **" in one_block("Context", told, ("js",))


def test_an_infinite_figure_is_printed_and_has_no_difference() -> None:
    assert "| A | inf |" in markdown(table(row("A", math.inf, math.nan)))
    nothing = Difference("context", "kl", math.nan, math.nan, math.nan)
    assert "| A | none |" in one_block("Context", {"A": [nothing]}, ("kl",))
    assert "context,A,kl,,,,posts and seeds" in differences_csv({"A": [nothing]})


def test_latex_takes_any_name_and_says_what_it_needs() -> None:
    text = latex(table(row(r"50% & a\b^c~d_e", 0.6)), "tab:four")
    assert text.startswith("% needs \\usepackage{booktabs}")
    assert (
        r"50\% \& a\textbackslash{}b\textasciicircum{}c\textasciitilde{}d\_e & 0.6000 $\pm$ 0.0100 \\"
        in text
    )
    assert r"\label{tab:four-context}" in text
    assert text.count("{") == text.count("}")
