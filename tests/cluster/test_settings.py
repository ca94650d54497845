"""Rules of the settings, before anything is started."""

from pathlib import Path

import pytest

from corpus_lonely.cluster import ClusterSettings, SlurmSettings, SshSettings
from corpus_lonely.cluster.settings import walltime_seconds
from corpus_lonely.errors import SettingsError


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:8786", "tcp://[::1]:8786", "tcp://localhost:1", "127.0.0.1:8786"]
)
def test_loopback_needs_no_tls(address: str) -> None:
    ClusterSettings(scheduler=address)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"scheduler": "tcp://10.0.0.3:8786"}, "is not encrypted"),
        ({"scheduler": "login.example.org:8786"}, "is not encrypted"),
        ({"scheduler": "tcp://127.0.0.1.example.org:8786"}, "is not encrypted"),
        ({"scheduler": "tls://10.0.0.3:8786"}, "needs --tls-ca, --tls-cert and --tls-key"),
        ({"scheduler": "ucx://10.0.0.3:8786"}, r"must be tcp://HOST:PORT or tls://HOST:PORT"),
        ({"scheduler": "tcp://"}, r"must be tcp://HOST:PORT or tls://HOST:PORT"),
        ({"scheduler": "tcp://127.0.0.1:1", "workers": 2}, "--workers cannot be set"),
        ({"scheduler": "tcp://127.0.0.1:1", "kind": "slurm"}, "--cluster slurm cannot be set with"),
        ({"scheduler_file": Path("x"), "scheduler": "127.0.0.1:1"}, "cannot both be set"),
        ({"scheduler_file": Path("x"), "workers": 2}, "cannot be set with --scheduler-file"),
        ({"kind": "pbs"}, "--cluster must be one of local, slurm, ssh, got 'pbs'"),
        ({"kind": "slurm"}, "--cluster slurm needs --workers"),
        ({"kind": "slurm", "workers": 0}, "--cluster slurm needs --workers"),
        ({"slurm": SlurmSettings(partition="x")}, "not --cluster slurm"),
        ({"kind": "ssh"}, "--cluster ssh needs --hosts"),
        ({"kind": "ssh", "ssh": SshSettings(("a", "b", "a"))}, "names a host twice"),
        ({"kind": "ssh", "ssh": SshSettings(("a",)), "workers": 0}, "at least 1 on each host"),
        ({"ssh": SshSettings(("a",))}, "need --cluster ssh"),
        ({"interface": "ib0"}, "--interface needs --cluster"),
        ({"workers": -1}, "--workers must be at least 0, got -1"),
        ({"threads": 0}, "--threads must be at least 1, got 0"),
    ],
)
def test_settings_that_break_a_rule(settings: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        ClusterSettings(**settings)  # type: ignore[arg-type]


def test_insecure_is_the_users_word() -> None:
    ClusterSettings(scheduler="tcp://10.0.0.3:8786", insecure=True)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"walltime": "soon"}, "--walltime must be like 04:00:00 or 2-12:00:00, got 'soon'"),
        ({"walltime": "0:00"}, "must be more than nothing"),
        ({"gpus": 2}, "--worker-gpus must be 0 or 1, got 2"),
        ({"memory": "lots"}, "--worker-memory must be like 8GB, got 'lots'"),
        ({"workers_per_job": 0}, "--workers-per-job must be at least 1, got 0"),
        ({"lifetime_s": 0}, "--worker-lifetime must be at least 1, got 0"),
        ({"prologue": ("a\nb",)}, "take one line each"),
    ],
)
def test_settings_of_slurm_that_break_a_rule(settings: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        SlurmSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("walltime", "seconds"),  # the six forms of the manual of sbatch
    [
        ("90", 5400),
        ("90:30", 5430),
        ("04:00:00", 14_400),
        ("1-12", 129_600),
        ("1-12:30", 131_400),
        ("1-12:30:15", 131_415),
    ],
)
def test_walltimes_as_sbatch_reads_them(walltime: str, seconds: int) -> None:
    assert walltime_seconds(walltime) == seconds


@pytest.mark.parametrize("walltime", ["1", "10", "01:00:00", "2-00:00:00"])
def test_every_worker_leaves_before_its_job_ends(walltime: str) -> None:
    life, stagger = SlurmSettings(walltime=walltime).life()
    left = walltime_seconds(walltime) - (life + stagger)
    assert 0 < stagger <= left
    assert life - stagger > 0.6 * walltime_seconds(walltime)


@pytest.mark.parametrize(
    ("options", "gpus"),
    [
        (("--gres=gpu:a100:1",), 1),
        (("--constraint=a100", "--gpus=1"), 1),
        (("--gpus-per-node=4",), 1),
        (("-G1",), 1),
        (("--gres=tmpdisk:100",), 0),
        (("--constraint=gpu",), 0),
    ],
)
def test_gpus_that_sbatch_is_asked_for_are_known(options: tuple[str, ...], gpus: int) -> None:
    assert SlurmSettings(sbatch=options).gpus == gpus
