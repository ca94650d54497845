"""What a worker is asked to do, and what it answers: all that crosses between it and the driver."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from corpus_lonely.errors import CorpusLonelyError
from corpus_lonely.identities import Identities
from corpus_lonely.scoring.parts import Counts
from corpus_lonely.scoring.plan import Run, Shard
from corpus_lonely.scoring.probe import Probe
from corpus_lonely.storage import Place


@dataclass(frozen=True)
class Task:
    """What all shards of a run have in common; it crosses to the workers, so it holds no data."""

    run: Run
    model: Path
    out: Place
    device: str
    threads: int | None
    """CPU threads of the process; None leaves torch's choice."""
    carried: pa.Schema
    parts: int
    """How many shards there are in all."""
    identities: Identities = field(default_factory=Identities)
    """What is hashed in the posts, if their files tell."""
    probe: Probe | None = None
    """What a worker must see in `out` before it works; None where that is not asked."""


@dataclass(frozen=True)
class Ready:
    """What a worker says once its model stands."""

    device: str
    precision: str
    batch_tokens: int
    """Padded tokens in a batch, where the run leaves it to the device."""
    packed: bool
    """Whether posts are laid end to end; else batches are padded."""
    python: str
    versions: dict[str, str]
    numerics_version: int


@dataclass(frozen=True)
class ShardResult:
    """A shard that is done."""

    shard: Shard
    counts: Counts
    seconds: float
    halvings: int = 0
    """How often memory ran out on its worker, so that the batches were made smaller; each is told once."""
    batch_tokens: int = 0
    """Padded tokens in a batch after that."""
    worker: str = ""
    """The address of who did it; empty in the driver's own process."""


@dataclass(frozen=True)
class ShardFailure:
    """A shard that could not be done; the reason never holds text of a post."""

    shard: Shard
    reason: str
    fatal: CorpusLonelyError | None = None
    """Set when every other shard would fail alike: a full disk, a model that has gone."""
    host: bool = False
    """Whether `fatal` is so in this process, and another host may do the shard."""
    worker: str = ""
    """The address of who tried; empty in the driver's own process."""
    unread: bool = False
    """Whether its posts could not be read, which says nothing of other files."""
    suspect: bool = False
    """Whether its worker died again and again, and it is not known whether for this shard."""
    broken: bool = False
    """Whether the device is of no more use to the process that tried."""


Outcome = ShardResult | ShardFailure


Heard = Callable[[int, int], None]
"""Called with a shard's index and how many of its posts are scored so far."""


class Abandoned(Exception):  # noqa: N818  (no error: somebody changed their mind)
    """Raised by whoever is told of a shard's progress and does not want it any more."""


Told = Callable[[int], None]
