"""A real sshd on loopback, started from a temporary folder with keys of its own."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.command_lines import ROOT

HOSTS = ("one", "two")
"""Names of the same machine, as two entries of a user's ~/.ssh/config."""
_PATH = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"


class NotThereError(Exception):
    """This machine has no sshd, or it does not start here; the message says why."""


@dataclass(frozen=True)
class Sshd:
    """A server that stands, and a user's files for it."""

    folder: Path
    port: int
    config: Path
    """Like ~/.ssh/config."""
    known_hosts: Path


@contextmanager
def started(folder: Path) -> Iterator[Sshd]:
    """An sshd that lets this user in; NotThereError where there is none to be had."""
    program = shutil.which("sshd", path=_PATH)
    if program is None or shutil.which("ssh-keygen") is None:
        raise NotThereError("sshd is not installed (Debian: apt-get install openssh-server)")
    folder.chmod(0o700)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sshd = Sshd(folder, port, folder / "config", folder / "known_hosts")
    _write(sshd)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it shuts itself in before anyone is let in
    with (folder / "sshd.log").open("wb") as log:
        server = subprocess.Popen([program, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    try:
        _wait_until_it_answers(sshd, server)
        yield sshd
    finally:
        server.terminate()
        server.wait(10)


def make_key(path: Path) -> str:
    """A key without a passphrase; returns its public half."""
    command: list[str | Path] = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path]
    subprocess.run(command, check=True, timeout=20)
    kind, key, *_ = path.with_suffix(".pub").read_text().split()
    return f"{kind} {key}"


def _write(sshd: Sshd) -> None:
    folder = sshd.folder
    server, user = make_key(folder / "host_key"), make_key(folder / "user_key")
    (folder / "authorized_keys").write_text(f"{user}\n")
    sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {server}\n")
    (folder / "sshd_config").write_text(
        f"Port {sshd.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nAcceptEnv PYTHONPATH\n"
    )
    sshd.config.write_text(
        f"Host {' '.join(HOSTS)}\n  Hostname 127.0.0.1\n  Port {sshd.port}\n"
        f"  User {getpass.getuser()}\n  IdentityFile {folder}/user_key\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {sshd.known_hosts}\n  SetEnv PYTHONPATH={ROOT}\n"
    )


def _wait_until_it_answers(sshd: Sshd, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", sshd.port), timeout=5) as there:
                if there.recv(4) == b"SSH-":
                    return
        except OSError:
            pass
        if server.poll() is not None or time.monotonic() > deadline:
            said = (sshd.folder / "sshd.log").read_text().splitlines() or ["it says nothing"]
            raise NotThereError(f"sshd does not start here: {said[-1]}")
        time.sleep(0.1)
