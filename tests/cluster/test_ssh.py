"""Scores made on hosts that a real sshd leads to are those of one process."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from corpus_lonely.cluster import ClusterSettings, SshSettings, open_cluster, upkeep
from corpus_lonely.errors import InputError
from corpus_lonely.scoring.job import score_posts
from tests.cluster import sshd as service
from tests.cluster.conftest import Files, Score, parts
from tests.cluster.sshd import HOSTS, Sshd, make_key
from tests.cluster.strangers import assert_strangers_are_turned_away

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("ssh")]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server on loopback."""
    try:
        with service.started(tmp_path_factory.mktemp("sshd")) as sshd:
            yield sshd
    except service.NotThereError as error:
        pytest.skip(f"no SSH: {error}")


def cluster_of(sshd: Sshd, *hosts: str, config: Path | None = None) -> ClusterSettings:
    ssh = SshSettings(hosts or HOSTS, config or sshd.config)
    return ClusterSettings(workers=1, threads=1, kind="ssh", ssh=ssh)


def children() -> list[psutil.Process]:
    """Processes of this machine that serve a cluster over SSH."""
    running = psutil.process_iter(["cmdline"])
    return [one for one in running if "--certificates-from-stdin" in (one.info["cmdline"] or [])]


def wait_for_no_children() -> None:
    deadline = time.monotonic() + 60  # they take 25 s at most, and the machine may be busy
    while children():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_same_bytes_from_two_hosts(sshd: Sshd, scoring: Score, expected: Files) -> None:
    settings = scoring(cluster_of(sshd))
    report = score_posts(settings)
    assert report.shards == 20
    assert parts(settings.out) == expected
    wait_for_no_children()


def test_who_may_talk_to_workers_over_ssh(sshd: Sshd) -> None:
    with open_cluster(cluster_of(sshd)) as opened:
        opened.client.wait_for_workers(2, timeout=60)
        assert_strangers_are_turned_away(opened.address)
        for worker in opened.workers():
            assert_strangers_are_turned_away(worker)
        names = {told["name"] for told in opened.client.scheduler_info(-1)["workers"].values()}
        assert names == set(HOSTS)
        # nothing of the certificates is where other users of a host could read it
        shown = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True)
        assert "--certificates-from-stdin" in shown.stdout
        assert "BEGIN" not in shown.stdout
        assert all("PRIVATE KEY" not in str(process.environ()) for process in children())


def test_a_host_that_goes_down_is_used_again_when_it_is_back(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_POLL_S", 1)
    with open_cluster(cluster_of(sshd)) as opened:
        opened.client.wait_for_workers(2, timeout=60)
        before = opened.workers()
        down = children()[0]
        for process in [*down.children(recursive=True), down]:
            process.kill()
        while opened.workers() == before:
            time.sleep(0.2)
        while len(opened.workers()) < 2:
            time.sleep(0.2)
    wait_for_no_children()


def test_workers_end_when_the_driver_is_killed(sshd: Sshd) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from corpus_lonely.cluster import *\n"
        f"ssh = SshSettings({HOSTS!r}, Path({str(sshd.config)!r}))\n"
        "settings = ClusterSettings(workers=1, threads=1, kind='ssh', ssh=ssh)\n"
        "if __name__ == '__main__':\n"
        "    with open_cluster(settings):\n"
        "        print('up', flush=True)\n"
        "        time.sleep(600)\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"up\n"
    assert children()
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    driver.stdout.close()
    wait_for_no_children()


def refused(sshd: Sshd, host: str, config: str, told: str) -> None:
    path = sshd.folder / "another_config"
    path.write_text(config)
    with (
        pytest.raises(InputError, match=told) as caught,
        open_cluster(cluster_of(sshd, host, config=path)),
    ):
        pass
    assert str(caught.value).startswith(f"{host}: ")
    assert "\n" not in str(caught.value)


def test_a_host_that_is_not_known_is_refused(sshd: Sshd) -> None:
    nobody = sshd.folder / "empty"
    nobody.touch()
    config = sshd.config.read_text().replace(str(sshd.known_hosts), str(nobody))
    refused(sshd, "one", config, "is not among the known hosts, or shows another key than it had")


def test_a_host_that_shows_another_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    impostor = tmp_path / "known_hosts"
    impostor.write_text(f"[127.0.0.1]:{sshd.port} {make_key(tmp_path / 'key')}\n")
    config = sshd.config.read_text().replace(str(sshd.known_hosts), str(impostor))
    refused(sshd, "one", config, "is not among the known hosts, or shows another key than it had")


def test_a_host_that_asks_for_a_password_is_told(sshd: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    config = sshd.config.read_text().replace(f"{sshd.folder}/user_key", f"{tmp_path}/stranger")
    refused(sshd, "one", config, "does not let us in without a password")


def test_a_host_that_does_not_answer_is_told(sshd: Sshd) -> None:
    config = sshd.config.read_text().replace(f"Port {sshd.port}", "Port 1")
    refused(sshd, "one", config, "cannot be reached over SSH")


def test_a_host_that_is_down_at_the_start_is_done_without(sshd: Sshd) -> None:
    config = sshd.folder / "two_is_down"
    config.write_text(f"Host two\n  Port 1\n{sshd.config.read_text()}")
    notes: list[str] = []
    with open_cluster(cluster_of(sshd, config=config), note=notes.append) as opened:
        told = opened.client.scheduler_info(-1)["workers"].values()
        assert [worker["name"] for worker in told] == ["one"]
    assert len(notes) == 1
    assert "tried again later: two: cannot be reached over SSH" in notes[0]
    wait_for_no_children()


def test_a_host_without_this_package_is_told(sshd: Sshd) -> None:
    ssh = SshSettings(("one",), sshd.config, python="/usr/bin/env no-such-python")
    settings = ClusterSettings(workers=1, kind="ssh", ssh=ssh)
    with (
        pytest.raises(InputError, match=r"one: started no worker \(.*no-such-python"),
        open_cluster(settings),
    ):
        pass
