"""The commands `corpus-lonely cluster`: certificates of a run, and the workers of one host."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corpus_lonely.cli.cluster_options import (
    interface_option,
    with_scheduler_options,
    worker_threads_option,
    workers_option,
)
from corpus_lonely.cli.options import FOLDER, common

if TYPE_CHECKING:
    from distributed import Security


@click.group()
def cluster() -> None:
    """Parts of a Dask cluster, for jobs that start one themselves."""


@cluster.command(
    epilog="\b\nFor a scheduler, its workers and `score`, which all show the same certificate:\n"
    "  corpus-lonely cluster certificates --out tls/"
)
@click.option("--out", type=FOLDER, required=True, help="The folder; you alone can enter it.")
@common
def certificates(out: Path) -> None:
    """Make the certificates of one run: ca.pem, cert.pem and key.pem, valid for 90 days.

    Whoever holds key.pem can run code on that cluster: make new ones for each run, and delete them
    after it.
    """
    from corpus_lonely.cluster.security import make_credentials

    ca, cert, key = make_credentials().write(out)
    given = f"--tls-ca {ca} --tls-cert {cert} --tls-key {key}"
    click.echo(f"{out}: certificates of one run; delete them after it.")
    click.echo(f"Next: corpus-lonely cluster worker --scheduler-file scheduler.json {given}")


@cluster.command(
    epilog="\b\nOn each node of a job, beside `dask scheduler --scheduler-file scheduler.json`:\n"
    "  corpus-lonely cluster worker --scheduler-file scheduler.json \\\n"
    "    --tls-ca ca.pem --tls-cert cert.pem --tls-key key.pem"
)
@with_scheduler_options
@click.option(
    "--certificates-from-stdin",
    is_flag=True,
    help="For `score --cluster ssh`: they come over the connection, and the workers end with it.",
)
@workers_option(1, "Worker processes.")
@worker_threads_option()
@click.option(
    "--memory",
    type=click.IntRange(min=0),
    default=0,
    metavar="BYTES",
    help="What a worker needs; fewer are started when memory is short.",
)
@click.option("--name", show_default="the host's", help="Name of the workers.")
@click.option("--lifetime", type=float, metavar="SECONDS", help="After how long they leave.")
@click.option(
    "--lifetime-stagger",
    type=float,
    default=0.0,
    metavar="SECONDS",
    help="How far each lifetime may be off, so that they don't end together.",
)
@interface_option("Network interface to use, like ib0.")
@click.option("--no-gpus", is_flag=True, help="Leave the GPUs alone.")
@common
@click.pass_context
def worker(context: click.Context, /, **options: Any) -> None:
    """Start the workers of this host for a scheduler elsewhere, and wait until they end.

    Each has a GPU of its own, where there are some. SIGTERM makes them leave in order: what they were
    doing is given to others.
    """
    from corpus_lonely.cluster.host import HostSettings, serve
    from corpus_lonely.cluster.processes import quieten

    quieten(bool(context.find_root().meta.get("corpus_lonely.debug")))
    from_stdin = bool(options["certificates_from_stdin"])
    address, security = _scheduler(options, from_stdin)
    life = (options["lifetime"], options["lifetime_stagger"]) if options["lifetime"] else None
    settings = HostSettings(
        address,
        security,
        workers=options["workers"],
        threads=options["threads"],
        bytes_per_worker=options["memory"],
        name=options["name"],
        life=life,
        interface=options["interface"],
        gpus=not options["no_gpus"],
    )
    serve(settings, sys.stdin if from_stdin else None)


def _scheduler(options: dict[str, Any], from_stdin: bool) -> tuple[str, "Security"]:
    from corpus_lonely.cluster import ClusterSettings
    from corpus_lonely.cluster.existing import address_of, security_for
    from corpus_lonely.cluster.host import take_over

    if from_stdin and options["scheduler"]:
        return options["scheduler"], take_over(sys.stdin.readline())
    names = ("scheduler", "scheduler_file", "tls_ca", "tls_cert", "tls_key", "insecure")
    settings = ClusterSettings(**{name: options[name] for name in names})
    if not settings.exists:
        raise click.UsageError("give --scheduler or --scheduler-file")
    address = address_of(settings)
    return address, security_for(settings, address)
