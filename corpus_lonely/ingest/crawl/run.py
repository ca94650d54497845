"""From subreddits to a posts folder: what `corpus-lonely ingest reddit` does, as a function."""

import os
import time
from dataclasses import replace
from pathlib import Path

from corpus_lonely.errors import SettingsError
from corpus_lonely.files import about_folder
from corpus_lonely.ingest.authors import read_key
from corpus_lonely.ingest.crawl.checkpoint import Checkpoint, CrawlFolder
from corpus_lonely.ingest.crawl.client import RedditClient
from corpus_lonely.ingest.crawl.course import Course
from corpus_lonely.ingest.crawl.patience import Patience
from corpus_lonely.ingest.crawl.report import CrawlReport
from corpus_lonely.ingest.crawl.settings import CrawlSettings
from corpus_lonely.ingest.folder import PostsFolder
from corpus_lonely.ingest.record import check_same
from corpus_lonely.ingest.report import IngestReport
from corpus_lonely.ingest.run import ingest_dumps
from corpus_lonely.ingest.settings import IngestSettings
from corpus_lonely.progress import Progress, Silent


def crawl_reddit(
    settings: CrawlSettings,
    out: str | os.PathLike[str],
    progress: Progress | None = None,
) -> CrawlReport:
    """Fetches what Reddit's API has of some subreddits, and brings it into `out` as dumps are.

    Interrupted and run again, it goes on after the last page that it had. Until the end the
    posts lie as Reddit gave them in `out`.about/crawl/, readable by their owner alone.

    Raises CrawlError when credentials are missing or refused, or Reddit does not answer; else
    what `ingest_dumps` raises, as far as can be told before anything is fetched.
    """
    progress = progress or Silent()
    rows = _fitting(PostsFolder(Path(os.path.abspath(out))), settings)
    patience = Patience(tell=progress.note)
    client = RedditClient(settings.site, patience)
    folder = CrawlFolder(about_folder(out))
    with folder.opened():
        checkpoint = _begin(folder, settings, progress)
        Course(client, folder, checkpoint, settings, progress).run()
        ingest = (
            ingest_dumps([folder.raw(checkpoint)], out, rows, progress) if folder.count else None
        )
        report = _report(folder.count, checkpoint, patience, ingest)
        folder.clear()
    return report


def _fitting(folder: PostsFolder, settings: CrawlSettings) -> IngestSettings:
    """The settings for `ingest_dumps`; refuses at once what it would refuse after a night."""
    # a crawl meets no other subreddit, so it leaves none out: later ones may ask for others
    rows = replace(settings.rows, subreddits=frozenset())
    given = rows.author_key
    if given and given.resolve().is_relative_to(folder.out.resolve()):
        raise SettingsError("--author-key must lie outside --out", where=given)
    key = given or folder.key
    told = read_key(key).fingerprint if key.exists() and not rows.keep_authors else None
    folder.check()
    if rows.overwrite or not folder.about.exists():
        return rows
    with folder.opened():
        if record := folder.record():
            if left_in := frozenset(record.settings["subreddits"]):  # of dumps that were filtered
                fits = left_in.issuperset(settings.subreddits)
                rows = replace(rows, subreddits=left_in if fits else frozenset(settings.subreddits))
            check_same(record, rows.recorded(), told, folder.out)
    return rows


def _begin(folder: CrawlFolder, settings: CrawlSettings, progress: Progress) -> Checkpoint:
    recorded = settings.recorded()
    checkpoint = None if settings.restart else folder.interrupted(recorded)
    if checkpoint is None:
        return folder.begin(recorded, settings.subreddits)
    began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(checkpoint.began))
    progress.note(f"Going on with the crawl begun at {began}, {folder.count:,} posts so far")
    return checkpoint


def _report(
    fetched: int, checkpoint: Checkpoint, patience: Patience, ingest: IngestReport | None
) -> CrawlReport:
    positions = checkpoint.positions.items()
    return CrawlReport(
        fetched=fetched,
        requests=patience.requests,
        repeated=patience.repeated,
        refused={name: position.refused for name, position in positions if position.refused},
        set_aside={name: position.set_aside for name, position in positions if position.set_aside},
        passed_over={name: position.odd for name, position in positions if position.odd},
        ingest=ingest,
    )
