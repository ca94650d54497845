"""What is asked of a set of posts, each a ratio of two sums.

Two shares of a label, and every table names which is meant:
  share_of_lonely  sum(P(lonely) * P(label | lonely)) / sum(P(lonely)): its share among lonely posts,
                   each post counted by how likely it is lonely
  share_of_all     mean(P(lonely) * P(label | lonely)): its share of all posts
and two of loneliness itself:
  mean_probability    mean(P(lonely))
  share_at_threshold  the share of posts with P(lonely) at or above a threshold
"""

from dataclasses import dataclass
from typing import Any

from corpus_lonely.taxonomy import Category, Taxonomy

DIGITS = 9
"""Decimals kept in tables: sums of floats differ beyond them from run to run."""

POSTS, ABOVE = "posts", "above"
"""Columns of sums: posts, and posts at or above the threshold."""


@dataclass(frozen=True)
class Estimand:
    """One number asked of a set of posts: the ratio of two sums over them."""

    group: str
    label: str
    measure: str
    numerator: str
    """The column of sums above the line."""
    denominator: str


def estimands(taxonomy: Taxonomy) -> list[Estimand]:
    """All that is asked: loneliness twice, then each label twice, in the order of the taxonomy."""
    root = taxonomy.root.name
    asked = [
        Estimand(root, root, "mean_probability", root, POSTS),
        Estimand(root, root, "share_at_threshold", ABOVE, POSTS),
    ]
    for measure, denominator in (("share_of_lonely", root), ("share_of_all", POSTS)):
        asked += [
            Estimand(category.name, label, measure, column, denominator)
            for category in taxonomy.categories
            for label, column in zip(category.labels, category.columns, strict=True)
        ]
    return asked


def sum_columns(taxonomy: Taxonomy) -> list[str]:
    """The columns of sums: posts, posts above the threshold, then P(lonely) and each label's."""
    return [POSTS, ABOVE, *taxonomy.score_columns]


def measures_told(root: Category, threshold: float) -> dict[str, Any]:
    """What each measure of the tables means."""
    weight = f"P({root.labels[1]})"
    return {
        "mean_probability": f"mean({weight})",
        "share_at_threshold": f"share of posts with {weight} >= {threshold:g}",
        "share_of_lonely": f"sum({weight} * P(label | {root.labels[1]})) / sum({weight})",
        "share_of_all": f"mean({weight} * P(label | {root.labels[1]}))",
    }
