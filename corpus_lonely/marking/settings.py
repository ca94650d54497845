"""What is marked, and how alike two posts must be."""

from dataclasses import dataclass
from pathlib import Path

from corpus_lonely.errors import SettingsError
from corpus_lonely.sources import is_inside

PERMUTATIONS = 128
"""Of a signature: the similarity of two texts is known to about 0.04."""
BANDS = 16
"""Of 8 numbers each. Texts that share one are compared: of those at 0.8 19 in 20 do, at 0.9 nearly all."""


@dataclass(frozen=True)
class MarkSettings:
    """The choices of one run."""

    source: str
    """Posts: a Parquet file, a folder, a glob or a URL."""
    out: Path
    near_duplicates: bool = False
    language: bool = False
    similarity: float = 0.8
    """Least share of runs of words that two texts have in common, of all that either has (Jaccard)."""
    shingle_words: int = 3
    """In a run."""
    min_words: int = 10
    """Shorter texts are not compared: short texts are alike by chance."""
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not (self.near_duplicates or self.language):
            raise SettingsError("nothing to mark: give --near-duplicates, --language or both")
        if ":/" in str(self.out):
            raise SettingsError(f"--out must be a folder of this machine, got {self.out}")
        if is_inside(self.out, self.source):
            raise SettingsError(f"--out must not lie inside --input, got {self.out}")
        if not 0.7 <= self.similarity <= 1:
            # below, two such texts often share no band, and would be missed in silence
            raise SettingsError(f"--similarity must be from 0.7 to 1, got {self.similarity}")
        if not 1 <= self.shingle_words <= 10:
            raise SettingsError(f"--shingle-words must be from 1 to 10, got {self.shingle_words}")
        if self.min_words < self.shingle_words:
            raise SettingsError(
                f"--min-words must be at least --shingle-words ({self.shingle_words}), got {self.min_words}"
            )

    def recorded(self) -> dict[str, object]:
        """What decides the marks, for the footer."""
        compared = {
            name: getattr(self, name) for name in ("similarity", "shingle_words", "min_words")
        }
        return {
            "near_duplicates": compared if self.near_duplicates else None,
            "language": self.language,
        }
