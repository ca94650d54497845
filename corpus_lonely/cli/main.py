"""The command `corpus-lonely`: its commands, and how errors reach the user."""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from corpus_lonely import __version__
from corpus_lonely.cli.adapt import adapt
from corpus_lonely.cli.cluster import cluster
from corpus_lonely.cli.demo import demo
from corpus_lonely.cli.describe import describe
from corpus_lonely.cli.ensemble import ensemble
from corpus_lonely.cli.evaluate import evaluate
from corpus_lonely.cli.experiment import experiment
from corpus_lonely.cli.ingest import ingest
from corpus_lonely.cli.large_pages import ask_for_large_pages
from corpus_lonely.cli.mark import mark
from corpus_lonely.cli.purge import purge
from corpus_lonely.cli.sample import sample
from corpus_lonely.cli.score import score
from corpus_lonely.cli.study import study
from corpus_lonely.cli.train import train
from corpus_lonely.errors import CorpusLonelyError
from corpus_lonely.files import output_error

# Read by OpenMP when torch is first imported, and inherited by Dask's workers: threads that wait spin
# by default, and on a machine with anything else to do that costs far more than it gains (docs/log.md).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Read by NumPy when it is first imported: its matrices are small here, and threads wait for each other over
# them, ten times as long where other work is going on (docs/log.md). torch's are not touched by it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# oneDNN keeps a compiled product of matrices for each shape that it has met, by default 1,024 of them, and
# torch as many: a worker grew by 300 MB over a million posts. With so many it is as fast (docs/log.md).
for _cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_cache, "128")


class _Main(click.Group):
    """Turns errors into one line and the right exit status, unless --debug."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Runs a command line: this process's own where no other is given."""
        if args is None:
            ask_for_large_pages(sys.argv[1:])
        return super().main(args, *rest, **options)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CorpusLonelyError as error:
            if ctx.find_root().meta.get("corpus_lonely.debug"):
                raise
            _fail(str(error), error.exit_status)
        except OSError as error:
            if ctx.find_root().meta.get("corpus_lonely.debug") or error.errno == errno.EPIPE:
                raise
            _fail(str(output_error(error, error.filename or "output")), 1)
        except KeyboardInterrupt:
            _fail("Interrupted. What is done is kept: run the same command again to go on.", 130)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(self.commands)  # in the order of the work, not of the alphabet


def _fail(message: str, status: int) -> None:
    click.echo(f"Error: {message}", err=True)
    sys.exit(status)


@click.group(
    cls=_Main,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog="\b\nSee it work, without any data of yours:\n  corpus-lonely demo",
)
@click.version_option(__version__, prog_name="corpus-lonely")
def main() -> None:
    """Fine-grained loneliness in social media.

    From Reddit dumps to Parquet, from labelled posts to a model, from both to scores, and from
    scores to answers over time. The stages meet on disk: each can be run alone.
    """


for _command in (
    demo,
    ingest,
    mark,
    adapt,
    train,
    evaluate,
    ensemble,
    experiment,
    score,
    describe,
    purge,
    sample,
    study,
    cluster,
):
    main.add_command(_command)
