"""What is to be said of a table once it was read, beside the counts of its rows."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Remarks:
    """Filled in while a file is read."""

    miscoded: int = 0
    """Lines of JSON whose characters are coded otherwise than they should be."""
    first_miscoded: int = 0
    """The first of them."""

    def lines(self) -> Iterator[str]:
        """A line for each that its user should know of."""
        if self.miscoded:
            yield (
                f"{self.miscoded:,} lines were not taken for they are coded in another way, line "
                f"{self.first_miscoded:,} first: --encoding tells in which"
            )

    def note_miscoded(self, line: int) -> None:
        """One more of such lines."""
        self.first_miscoded = self.first_miscoded or line
        self.miscoded += 1
