"""Shards that were set aside, and why: remembered beside the scores until they are done."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from corpus_lonely.errors import InputError
from corpus_lonely.files import read_json
from corpus_lonely.scoring.parts import Output
from corpus_lonely.scoring.plan import Shard
from corpus_lonely.storage import contents, put_json

_NOTE = re.compile(r"(part-(\d{6,})\.parquet)\.set-aside\.json")


@dataclass(frozen=True)
class Aside:
    """One small file for each shard: processes that share a folder never write the same one."""

    output: Output

    def reasons(self) -> dict[int, str]:
        """Why each shard was set aside, by its index, in order."""
        return dict(sorted((int(note[2]), self._reason(note[0])) for note in self._notes()))

    def _notes(self) -> Iterator[re.Match[str]]:
        found = (_NOTE.fullmatch(entry.name) for entry in contents(self.output.about))
        yield from (note for note in found if note)

    def _reason(self, name: str) -> str:
        try:
            return str(read_json(self.output.about / name)["reason"])
        except (InputError, KeyError, TypeError):
            return "for a reason that is lost"

    def put(self, shard: Shard, reason: str) -> None:
        """Remembers a shard."""
        put_json(self.output.about / _name(shard), {"shard": str(shard), "reason": reason})

    def forget(self, shard: Shard) -> None:
        """Its part stands now."""
        (self.output.about / _name(shard)).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forgets all, for a new start."""
        for note in list(self._notes()):
            (self.output.about / note[0]).unlink(missing_ok=True)


def _name(shard: Shard) -> str:
    return f"{shard.part}.set-aside.json"
