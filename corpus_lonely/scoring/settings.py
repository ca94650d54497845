"""What a scoring run is asked for, and what it tells at its end."""

from dataclasses import dataclass, field
from pathlib import Path

from corpus_lonely.cluster import ClusterSettings
from corpus_lonely.errors import SettingsError
from corpus_lonely.scoring.parts import Counts
from corpus_lonely.scoring.plan import Member
from corpus_lonely.sources import is_inside
from corpus_lonely.storage import Place


@dataclass(frozen=True)
class ScoreSettings:
    """What to score with what, and where."""

    input: str
    """A Parquet file, a folder, a glob, or a URL that fsspec knows."""
    model: Path
    """A folder that `corpus-lonely train` made."""
    out: Place
    """A folder, or the address of one: `storage.place("s3://bucket/scores/")`."""
    text_column: str = "text"
    keep: tuple[str, ...] = ()
    """Columns of the input to carry along, besides `tables.PASSED_THROUGH`."""
    max_tokens: int | None = None
    """Tokens kept per post; None: what the folder was begun with, else as in training."""
    batch_tokens: int | None = None
    """Padded tokens in a batch; None: what the folder was begun with, else the device's."""
    precision: str = "auto"
    """See `inference.device.PRECISIONS`; `auto`: what the folder was begun with, else its choice."""
    device: str = "auto"
    shard_rows: int | None = None
    """Rows per shard; None: what the folder was begun with, else `plan.default_shard_rows`."""
    overwrite: bool = False
    """Replace the parts of another run, once this one can begin; its own parts stay."""
    shard_index: int | None = None
    """With `num_shards`: which share of the parts this process does, counted from 0."""
    num_shards: int | None = None
    """How many processes write into `out` together, each with another `shard_index`."""
    retry_failed: bool = False
    """Do the shards that earlier runs set aside, and no others."""
    report: Path | None = None
    """Where Dask's performance report goes, as HTML."""
    cluster: ClusterSettings = field(default_factory=ClusterSettings)

    def __post_init__(self) -> None:
        if self.shard_rows is not None and self.shard_rows < 1:
            raise SettingsError(f"--shard-rows must be at least 1, got {self.shard_rows}")
        if is_inside(self.out, self.input):
            raise SettingsError(f"--out must not lie inside --input, got {self.out}")
        if self.retry_failed and self.overwrite:
            raise SettingsError(
                "--retry-failed cannot be given with --overwrite: it keeps the rest"
            )
        if self.report and self.cluster.workers == 0:
            raise SettingsError("--report tells of Dask, and --workers 0 works without it")
        self._check_member()

    def _check_member(self) -> None:
        index, of = self.shard_index, self.num_shards
        if index is None and of is None:
            return
        if index is None or of is None:
            raise SettingsError("--shard-index and --num-shards must be given together")
        if of < 1:
            raise SettingsError(f"--num-shards must be at least 1, got {of}")
        if not 0 <= index < of:
            raise SettingsError(
                f"--shard-index must be from 0 to {of - 1} with --num-shards {of}, got {index}"
            )
        if self.overwrite:
            raise SettingsError(
                "--overwrite cannot be given with --shard-index: the others may be writing there",
                hint="Choose another --out, or begin once with --overwrite and without it",
            )

    @property
    def member(self) -> Member | None:
        """Which share of the run is this process's; None when it does all."""
        if self.shard_index is None or self.num_shards is None:
            return None
        return Member(self.shard_index, self.num_shards)


@dataclass(frozen=True)
class ScoreReport:
    """What a run made."""

    counts: Counts
    """Over the parts of this run that stand: the whole folder, unless it was asked for less."""
    shards: int
    """Those that this run was to see to: all, or a share of them, or what had been set aside."""
    shards_before: int
    """Of these, done by earlier runs."""
    parts: int
    """All that make up the folder."""
    standing: int
    """Of these, those that are there."""
    seconds: float
    """From the first shard handed out to the last one done."""
    posts_per_s: float
    """Of this run's own shards."""
    halvings: int = 0
    """How often memory ran out on a worker, so that the batches were made smaller."""
    batch_tokens: int = 0
    """Padded tokens in the smallest batches after that."""
