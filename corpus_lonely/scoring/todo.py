"""What a run is, agreed with what the folder was begun with, and which of its shards are left to do."""

from collections.abc import Iterator
from dataclasses import dataclass

from corpus_lonely.cluster import count_gpus
from corpus_lonely.errors import OutputError, ScoringError
from corpus_lonely.inference.folder import NUMERICS_VERSION, ModelFacts
from corpus_lonely.scoring.aside import Aside
from corpus_lonely.scoring.inputs import Posts
from corpus_lonely.scoring.marks import Marks
from corpus_lonely.scoring.parts import Counts, Output
from corpus_lonely.scoring.plan import Run, Shard, count_shards, cut_shards, default_shard_rows
from corpus_lonely.scoring.settings import ScoreSettings


@dataclass(frozen=True)
class Todo:
    """The shards of a run, those that are this process's to do, and those of them that are done."""

    settings: ScoreSettings
    posts: Posts
    run: Run
    stale: bool
    """Whether nothing that the folder holds is of this run."""
    aside: dict[int, str]
    """Why earlier runs set shards aside, by index."""
    done: Marks
    counts: Counts
    """Over what is done."""
    own: int
    """How many are this process's to do, done or not."""
    own_rows: int

    @property
    def parts(self) -> int:
        """How many make up the whole folder."""
        return count_shards(self.posts, self.run.shard_rows)

    @property
    def left(self) -> int:
        """How many are not done."""
        return self.own - len(self.done)

    @property
    def rows_left(self) -> int:
        """Posts in those that are not done."""
        return self.own_rows - self.counts.rows

    def shards(self) -> Iterator[Shard]:
        """Those that are not done, each made when its turn comes: there may be a million."""
        mine = own_shards(self.settings, self.posts, self.run, self.aside)
        return (shard for shard in mine if shard.index not in self.done)


def own_shards(
    settings: ScoreSettings, posts: Posts, run: Run, aside: dict[int, str]
) -> Iterator[Shard]:
    """The shards that a run is asked for: all, or a member's share, or what had been set aside."""
    member = settings.member
    return (
        shard
        for shard in cut_shards(posts, run.shard_rows)
        if (member is None or member.has(shard))
        and (not settings.retry_failed or shard.index in aside)
    )


def known_run(
    settings: ScoreSettings, model: ModelFacts, posts: Posts, output: Output
) -> Run | None:
    """What the folder was begun with, if it was.

    A description without any part counts only where others may be at work on the first ones, where
    all that there was has been set aside, or where it tells of this very run.
    """
    if begun := output.begun():
        return begun
    described = output.described()
    if described is None or settings.member or settings.retry_failed:
        return described
    wanted = _wanted(settings, model, posts, described)
    return None if wanted.differences(described) else described


def plan_run(
    settings: ScoreSettings, model: ModelFacts, posts: Posts, output: Output, begun: Run | None
) -> Todo:
    """What there is to do, given what the folder was begun with, if it was.

    Raises OutputError when that is another run; ScoringError when nothing was set aside to be retried.
    """
    run, stale = _settle(settings, model, posts, begun, output)
    aside = {} if stale else Aside(output).reasons()
    if settings.retry_failed and not aside:
        raise ScoringError(
            "no shard was set aside",
            where=settings.out,
            hint="Without --retry-failed, the same command does whatever is missing",
        )
    own, rows = 0, 0
    for shard in own_shards(settings, posts, run, aside):
        own, rows = own + 1, rows + shard.rows
    done, counts = Marks(), Counts()
    if not stale:
        for shard, found in output.done(run, own_shards(settings, posts, run, aside)):
            done.add(shard.index)
            counts += found
            if shard.index in aside:  # its part stands: its worker died only after that
                Aside(output).forget(shard)
    return Todo(settings, posts, run, stale, aside, done, counts, own, rows)


def _settle(
    settings: ScoreSettings, model: ModelFacts, posts: Posts, begun: Run | None, output: Output
) -> tuple[Run, bool]:
    """What this run is, and whether nothing in the folder is of it.

    What the settings leave open is as the folder was begun, if it was. With --overwrite, parts of this
    very run stay: a rerun after an interruption goes on.
    """
    wanted = _wanted(settings, model, posts, begun)
    if begun is None:
        return wanted, True
    if not (differences := wanted.differences(begun)):
        return wanted, False
    if settings.overwrite:
        return _wanted(settings, model, posts, None), True
    purged = f" ({output.purged:,} of its posts were purged since)" if output.purged else ""
    raise OutputError(
        f"was begun with {'; '.join(differences)}{purged}",
        where=settings.out,
        hint=_hint(settings, purged),
    )


def _hint(settings: ScoreSettings, purged: str) -> str:
    if settings.member:
        return "Give all processes the same settings, or choose another --out"
    if purged:
        return (
            "If the posts were purged as well, there is nothing to do: these scores are what is left. "
            "Score posts that came later into another --out, or give --overwrite to start anew"
        )
    return "Choose another --out, or give --overwrite to start anew"


def _wanted(settings: ScoreSettings, model: ModelFacts, posts: Posts, begun: Run | None) -> Run:
    gpus = _gpus(settings)
    return Run(
        model=model.fingerprint,
        tokenizer=model.tokenizer,
        taxonomy=model.taxonomy.fingerprint,
        input=posts.sha256,
        text_column=settings.text_column,
        carried=tuple(posts.carried.names),
        max_tokens=settings.max_tokens or (begun.max_tokens if begun else model.max_tokens),
        batch_tokens=settings.batch_tokens or (begun.batch_tokens if begun else None),
        precision=begun.precision if begun and settings.precision == "auto" else settings.precision,
        shard_rows=settings.shard_rows
        or (begun.shard_rows if begun else default_shard_rows(posts.rows, gpus)),
        numerics_version=NUMERICS_VERSION,
    )


def _gpus(settings: ScoreSettings) -> int:
    """GPUs that the run is known to have, before any worker has told."""
    if settings.device.startswith("cuda:"):
        return 1
    if settings.device not in ("auto", "cuda"):
        return 0
    return count_gpus() if settings.cluster.here else settings.cluster.slurm.gpus
