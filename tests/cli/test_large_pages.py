"""Commands that compute begin with glibc told to ask for large pages, and so does all that they start."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's setting")

PROGRAM = """
import os, sys
from corpus_lonely.cli import main as cli
import corpus_lonely.cli.large_pages as pages

def run(*_arguments, **_options):
    print("pid", os.getpid(), "at start", b"hugetlb=1" in open("/proc/self/environ", "rb").read(),
          "handed on", os.environ.get("GLIBC_TUNABLES"), "words", sys.argv[1:])

cli.click.Group.main = run
cli.main()
"""


def told(*words: str, tunables: str | None = None) -> tuple[str, int]:
    """What a process says of itself, and its number."""
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    if tunables:
        environment["GLIBC_TUNABLES"] = tunables
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        said, _ = process.communicate()
    assert process.returncode == 0
    return said, process.pid


def test_a_command_that_computes_begins_once_more_as_the_same_process() -> None:
    said, pid = told("train", "--out", "a b")
    assert said.splitlines() == [
        f"pid {pid} at start True handed on glibc.malloc.hugetlb=1 words ['train', '--out', 'a b']"
    ]


def test_others_hand_it_on_alone() -> None:
    said, _ = told("ingest", "dump")
    assert "at start False handed on glibc.malloc.hugetlb=1" in said


def test_a_users_own_setting_stays() -> None:
    said, _ = told("score", tunables="glibc.malloc.check=0")
    assert "at start False handed on glibc.malloc.check=0" in said
