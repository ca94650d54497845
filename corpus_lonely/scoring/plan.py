"""What there is to do: shards, and the fingerprints that tell whether a part is the one wanted."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from corpus_lonely.scoring.inputs import Posts
from corpus_lonely.sources import InputFile
from corpus_lonely.tables import part_name

CPU_SHARD_ROWS = 4096
"""Minutes of a BERT-base on one core: what a kill loses at most, and a window long enough for
length-sorted batches to be nearly free of padding."""
GPU_SHARD_ROWS = 65536
"""Seconds of a GPU; with fewer rows, reading and writing would be felt."""
_SMALLEST_SHARD_ROWS = 512
_SHARDS_OF_A_SMALL_INPUT = 16


@dataclass(frozen=True)
class Shard:
    """A range of rows of one file, and the part that holds their scores."""

    index: int
    file: InputFile
    start: int
    """First row, counted in the file."""
    stop: int
    """Row after the last."""

    @property
    def rows(self) -> int:
        """Posts in the shard."""
        return self.stop - self.start

    @property
    def part(self) -> str:
        """The name of its part file."""
        return part_name(self.index)

    def __str__(self) -> str:
        return f"{self.part} (rows {self.start:,} to {self.stop:,} of {self.file.name})"


@dataclass(frozen=True)
class Member:
    """One of several processes that share a run: its shards are `index`, `index + of`, and so on."""

    index: int
    of: int

    def has(self, shard: Shard) -> bool:
        """Whether the shard is this process's to do."""
        return shard.index % self.of == self.index


@dataclass(frozen=True)
class Run:
    """All that decides the scores of a folder; two runs that agree on it write the same parts.

    No path, host, device or number of workers: they do not change what is computed.
    """

    model: str
    """Fingerprint of the model folder: config, weights and tokenizer."""
    tokenizer: str
    """Fingerprint of its tokenizer alone."""
    taxonomy: str
    """Fingerprint of the label hierarchy."""
    input: str
    """Fingerprint of all files."""
    text_column: str
    carried: tuple[str, ...]
    """Names of the columns that go along."""
    max_tokens: int
    batch_tokens: int | None
    """None until a worker has told what fits its device."""
    precision: str
    """`bf16` or `fp32`; `auto` until a worker has told."""
    shard_rows: int
    numerics_version: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as footers keep them."""
        return {**asdict(self), "carried": list(self.carried)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The reverse of `to_dict`; raises KeyError or TypeError when something is missing."""
        return cls(**{**content, "carried": tuple(content["carried"])})

    def differences(self, begun: "Run") -> list[str]:
        """In words, what this run wants otherwise than the one that `begun` describes."""
        return [
            _tell(field.name, getattr(begun, field.name), getattr(self, field.name))
            for field in fields(self)
            if getattr(begun, field.name) != getattr(self, field.name)
        ]

    def fingerprint(self, shard: Shard) -> str:
        """SHA-256 of what decides one part; other files of the input have no say in it."""
        facts = self.to_dict() | {
            "input": [shard.file.name, shard.file.size, shard.file.footer_sha256],
            "shard_rows": [shard.start, shard.stop],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


_OPTIONS = {"text_column", "max_tokens", "batch_tokens", "precision", "shard_rows"}
_TITLES = {
    "model": "another model",
    "tokenizer": "another tokenizer",
    "input": "another input",
    "taxonomy": "another taxonomy",
    "numerics_version": "another version of the engine",
    "carried": "other columns carried along",
}


def _tell(name: str, begun: object, wanted: object) -> str:
    if name in _OPTIONS:
        return f"--{name.replace('_', '-')} {begun}, not {wanted}"
    return _TITLES[name]


def default_shard_rows(rows: int, gpus: int) -> int:
    """Rows per shard where the user names none; a small input is cut so that all cores have work.

    It depends on the input and the kind of device alone, not on how many workers there are.
    """
    largest = GPU_SHARD_ROWS if gpus else CPU_SHARD_ROWS
    return min(largest, max(_SMALLEST_SHARD_ROWS, -(-rows // _SHARDS_OF_A_SMALL_INPUT)))


def count_shards(posts: Posts, shard_rows: int) -> int:
    """How many `cut_shards` will give."""
    return sum(-(-file.rows // shard_rows) for file in posts.files)


def cut_shards(posts: Posts, shard_rows: int) -> Iterator[Shard]:
    """All shards, in the order of the input, each made when its turn comes."""
    index = 0
    for file in posts.files:
        for start in range(0, file.rows, shard_rows):
            yield Shard(index, file, start, min(start + shard_rows, file.rows))
            index += 1
