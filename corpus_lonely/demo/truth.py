"""The truth of the synthetic corpus: the mean of every label before and after the cut, and which were moved."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt

from corpus_lonely.taxonomy import Category, Taxonomy, loneliness

Shares = npt.NDArray[np.float64]

DEFAULT_CUT = date(2020, 3, 11)
MONTHS_BEFORE = 12
"""Whole months before the month of the cut; as many again from that month on."""

# the mean of each label among lonely posts, in the order of the taxonomy
_BEFORE: dict[str, tuple[float, ...]] = {
    "duration": (0.25, 0.32, 0.25, 0.18),
    "context": (0.56, 0.08, 0.06, 0.22, 0.08),
    "interpersonal": (0.20, 0.40, 0.12, 0.13, 0.15),
    "interaction": (0.17, 0.08, 0.13, 0.12, 0.50),
}
# neighbours in the order of the labels trade places, so an author who changes goes from one to the next
_AFTER: dict[str, tuple[float, ...]] = {
    **_BEFORE,
    "context": (0.38, 0.26, 0.06, 0.22, 0.08),
    "interaction": (0.17, 0.08, 0.13, 0.27, 0.35),
}
_PREVALENCE_BEFORE, _PREVALENCE_AFTER = 0.40, 0.48


@dataclass(frozen=True)
class Planted:
    """What was planted, in the columns of scores: `lonely` and one a label."""

    cut: date
    """Midnight UTC of this day begins the period after."""
    before: dict[str, float]
    """The true mean of each column: `lonely` over all posts, the labels among lonely posts."""
    after: dict[str, float]

    @property
    def changed(self) -> tuple[str, ...]:
        """The columns whose mean was moved."""
        return tuple(name for name, mean in self.before.items() if self.after[name] != mean)

    @property
    def flat_categories(self) -> tuple[str, ...]:
        """The categories left alone: none of their labels moves."""
        return tuple(
            category.name
            for category in loneliness().categories
            if not set(category.columns) & set(self.changed)
        )

    def is_after(self, when: datetime) -> bool:
        """Whether a moment (with a time zone) lies in the period after the cut."""
        return when >= datetime(self.cut.year, self.cut.month, self.cut.day, tzinfo=UTC)

    def means(self, after: bool) -> dict[str, float]:
        """The true means of one period; they are the same in each of its months."""
        return self.after if after else self.before

    def distribution(self, category: Category, after: bool) -> Shares:
        """The true means of a category's labels in one period; they sum to 1."""
        means = self.means(after)
        return np.array([means[column] for column in category.columns])


def planted(cut: date = DEFAULT_CUT) -> Planted:
    """The truth for a cut: context turns from social to physical, interaction to reaching out.

    Prevalence rises a little; duration and interpersonal stay as they are.
    """
    taxonomy = loneliness()
    return Planted(
        cut,
        {"lonely": _PREVALENCE_BEFORE, **_columns(taxonomy, _BEFORE)},
        {"lonely": _PREVALENCE_AFTER, **_columns(taxonomy, _AFTER)},
    )


def _columns(taxonomy: Taxonomy, means: dict[str, tuple[float, ...]]) -> dict[str, float]:
    return {
        column: mean
        for category in taxonomy.categories
        for column, mean in zip(category.columns, means[category.name], strict=True)
    }
