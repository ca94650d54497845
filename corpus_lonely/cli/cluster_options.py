"""The options that say where the work goes, and the settings made of them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corpus_lonely.cli.options import FILE, FOLDER, Command, SectionOption

if TYPE_CHECKING:
    from corpus_lonely.cluster import ClusterSettings

PEM = click.Path(exists=True, dir_okay=False, path_type=Path)


class _Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between them; TOML has lists of its own."""

    name = "names"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002  (click's)
        return "A,B,C"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        names = value.split(",") if isinstance(value, str) else value
        if not all(isinstance(name, str) and name.strip() for name in names):
            self.fail(f"{value!r} must be names with commas between them", param, ctx)
        return tuple(name.strip() for name in names)


def _option(
    section: str | None, *declarations: str, **attributes: Any
) -> Callable[[Command], Command]:
    """An option, under a heading of its own where the command has sections."""
    if section is None:
        return click.option(*declarations, **attributes)
    return click.option(*declarations, cls=SectionOption, section=section, **attributes)


def workers_option(
    least: int, told: str, section: str | None = None
) -> Callable[[Command], Command]:
    """--workers, where they are ours to start."""
    return _option(
        section,
        "--workers",
        type=click.IntRange(min=least),
        show_default="one per GPU, else one per core that memory allows",
        help=told,
    )


def worker_threads_option(
    besides: str = "", section: str | None = None
) -> Callable[[Command], Command]:
    """--threads of each worker."""
    return _option(
        section,
        "--threads",
        type=click.IntRange(min=1),
        show_default=f"the cores, split among the workers{besides}",
        help="CPU threads of each worker.",
    )


def interface_option(told: str, section: str | None = None) -> Callable[[Command], Command]:
    """--interface of this machine."""
    return _option(section, "--interface", metavar="NAME", help=told)


def scheduler_options(
    besides: str = "", section: str | None = None
) -> tuple[Callable[[Any], Any], ...]:
    """Which scheduler there is, and the certificates for it."""
    return (
        _option(
            section,
            "--scheduler",
            metavar="ADDRESS",
            help=f"tls://HOST:PORT, or tcp://127.0.0.1:PORT.{besides}",
        ),
        _option(
            section,
            "--scheduler-file",
            type=FILE,
            help="The file that `dask scheduler --scheduler-file` writes, instead of an address.",
        ),
        _option(section, "--tls-ca", type=PEM, help="Certificate authority of a tls:// scheduler."),
        _option(section, "--tls-cert", type=PEM, help="Our certificate for a tls:// scheduler."),
        _option(section, "--tls-key", type=PEM, help="The key of --tls-cert."),
        _option(
            section,
            "--insecure",
            is_flag=True,
            help="Allow a tcp:// scheduler on another host: whoever reaches it can run code on it.",
        ),
    )


def with_scheduler_options(command: Command) -> Command:
    """Gives a command `scheduler_options`."""
    for option in reversed(scheduler_options()):
        command = option(command)
    return command


_WHERE = "Where the work goes"
_EXISTING = "A Dask scheduler that exists"
_SLURM = "With --cluster slurm"
_SSH = "With --cluster ssh"

_OPTIONS = (
    _option(
        _WHERE,
        "--cluster",
        "kind",
        type=click.Choice(["local", "slurm", "ssh"]),
        default="local",
        help="Workers on this machine, in SLURM jobs, or on hosts that SSH reaches. "
        "The latter must see the same files under the same paths.",
    ),
    workers_option(
        0,
        "Worker processes: here, in SLURM, or on each SSH host; 0 works in this process, "
        "without Dask.",
        _WHERE,
    ),
    worker_threads_option("; SLURM: 1, with a GPU 4", _WHERE),
    interface_option(
        "Network interface of this machine that workers elsewhere reach, like ib0.",
        _WHERE,
    ),
    *scheduler_options(" Its workers must see the same files.", _EXISTING),
    _option(_SLURM, "--partition", metavar="NAME", help="As for sbatch."),
    _option(_SLURM, "--account", metavar="NAME", help="As for sbatch."),
    _option(
        _SLURM,
        "--walltime",
        metavar="TIME",
        show_default="01:00:00",
        help="Of each job, like 04:00:00 or 2-00:00:00. Workers leave before it ends, what they were "
        "doing is given to others, and new jobs take their place.",
    ),
    _option(
        _SLURM,
        "--worker-memory",
        metavar="SIZE",
        show_default="4GB, more for a large model",
        help="Of each worker.",
    ),
    _option(
        _SLURM,
        "--worker-gpus",
        type=click.IntRange(0, 1),
        show_default="0",
        help="GPUs of each worker.",
    ),
    _option(
        _SLURM,
        "--workers-per-job",
        type=click.IntRange(min=1),
        show_default="1",
        help="Where whole nodes are given out: as many as a node has GPUs or cores.",
    ),
    _option(
        _SLURM,
        "--sbatch",
        multiple=True,
        metavar="OPTION",
        help="Another option of sbatch, like --sbatch=--constraint=a100; repeatable.",
    ),
    _option(
        _SLURM,
        "--prologue",
        multiple=True,
        metavar="LINE",
        help="A shell line that each job runs first, like 'module load cuda'; repeatable.",
    ),
    _option(
        _SLURM,
        "--worker-lifetime",
        type=click.IntRange(min=1),
        metavar="SECONDS",
        show_default="a little less than --walltime",
        help="After how long a worker leaves and a new job takes its place.",
    ),
    _option(
        _SLURM,
        "--cluster-folder",
        type=FOLDER,
        show_default="corpus-lonely-workers",
        help="Logs of the jobs, and while the run goes on its certificates, which you alone can read. "
        "All hosts must see it.",
    ),
    _option(_SSH, "--hosts", type=_Names(), help="Hosts, as `ssh` takes them."),
    _option(
        _SSH,
        "--ssh-config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        show_default="~/.ssh/config",
        help="Users, ports, keys and known hosts. A host that is not known is refused.",
    ),
    _option(
        _SSH,
        "--ssh-python",
        metavar="PATH",
        show_default="as here",
        help="The Python of the hosts that has this package.",
    ),
)
_PLAIN = ("kind", "workers", "threads", "interface", "scheduler", "scheduler_file", "insecure")
_TLS = ("tls_ca", "tls_cert", "tls_key")
_SLURM_FIELDS = {
    "partition": "partition",
    "account": "account",
    "walltime": "walltime",
    "worker_memory": "memory",
    "worker_gpus": "gpus",
    "workers_per_job": "workers_per_job",
    "sbatch": "sbatch",
    "prologue": "prologue",
    "worker_lifetime": "lifetime_s",
    "cluster_folder": "folder",
}
_SSH_FIELDS = {"hosts": "hosts", "ssh_config": "config", "ssh_python": "python"}


def cluster_options(command: Command) -> Command:
    """Gives a command the options of `cluster_settings`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def cluster_settings(options: dict[str, Any], debug: bool) -> "ClusterSettings":
    """Takes those options out of all that a command was given, and makes settings of them."""
    from corpus_lonely.cluster import ClusterSettings, SlurmSettings, SshSettings

    return ClusterSettings(
        **{name: options.pop(name) for name in (*_PLAIN, *_TLS)},
        slurm=SlurmSettings(**_given(options, _SLURM_FIELDS)),
        ssh=SshSettings(**_given(options, _SSH_FIELDS)),
        debug=debug,
    )


def _given(options: dict[str, Any], fields: dict[str, str]) -> dict[str, Any]:
    """What was given, under the names of the fields; their defaults stand with the fields."""
    values = {field: options.pop(name) for name, field in fields.items()}
    return {field: value for field, value in values.items() if value not in (None, ())}
