"""What is to be said of a table once it was read, beside the counts of its rows."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from corpus_lonely.ingest.tables.layout import NA


@dataclass
class Remarks:
    """Filled in while a file is read."""

    miscoded: int = 0
    """Lines of JSON whose characters are coded otherwise than they should be."""
    first_miscoded: int = 0
    """The first of them."""

    unclear: Counter[str] = field(default_factory=Counter)
    """Cells by our column that were taken as content, and may be R's nothing."""

    broken: str | None = None
    """How the file breaks off; its last row was not taken then."""

    notes: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """A line for each that its user should know of."""
        yield from self.notes
        if self.miscoded:
            yield (
                f"{self.miscoded:,} lines were not taken for they are coded in another way, line "
                f"{self.first_miscoded:,} first: --encoding tells in which"
            )

        for column, count in self.unclear.items():
            yield (
                f"{column} is '{NA}' in {count:,} row{'s' * (count != 1)}, which R writes for nothing, and was "
                f"taken as it is: --na {NA} takes it for nothing, --na '' for content without a word"
            )

    def note_cut(self, line: int) -> None:
        """The file ends within the row that begins there."""
        self.broken = f"ends within the row of line {line:,}, as if it was cut short"

    def note_miscoded(self, line: int) -> None:
        """One more of such lines."""
        self.first_miscoded = self.first_miscoded or line
        self.miscoded += 1
