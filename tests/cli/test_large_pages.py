"""Commands that compute begin with glibc told to ask for large pages, and so does all that they start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's setting")

PROGRAM = """
import os, sys
from corpus_lonely.cli import main as cli

def run(*_arguments, **_options):
    print("pid", os.getpid(), "at start", b"hugetlb=1" in open("/proc/self/environ", "rb").read(),
          "handed on", os.environ.get("GLIBC_TUNABLES"), "words", sys.argv[1:])

cli.click.Group.main = run
print("begun")
cli.main()
"""


def told(
    folder: Path, *words: str, script: str = "corpus-lonely", tunables: str | None = None
) -> tuple[list[str], int]:
    """What a process says of itself, and its number."""
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    if tunables:
        environment["GLIBC_TUNABLES"] = tunables
    (folder / script).write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, "-u", folder / script, *words],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        said, _ = process.communicate()
    assert process.returncode == 0
    return said.splitlines(), process.pid


def test_a_command_that_computes_begins_once_more_as_the_same_process(tmp_path: Path) -> None:
    said, pid = told(tmp_path, "train", "--out", "a b")
    assert said == [
        "begun",
        "begun",
        f"pid {pid} at start True handed on glibc.malloc.hugetlb=1 words ['train', '--out', 'a b']",
    ]


def test_others_hand_it_on_alone(tmp_path: Path) -> None:
    said, _ = told(tmp_path, "ingest", "dump")
    assert said[0] == "begun"
    assert "at start False handed on glibc.malloc.hugetlb=1" in said[1]


def test_a_users_own_setting_stays(tmp_path: Path) -> None:
    said, _ = told(tmp_path, "score", tunables="glibc.malloc.check=0")
    assert "at start False handed on glibc.malloc.check=0" in said[1]


def test_a_users_own_script_is_not_begun_again(tmp_path: Path) -> None:
    said, _ = told(tmp_path, "score", script="night.py")
    assert said[0] == "begun"
    assert "at start False handed on glibc.malloc.hugetlb=1" in said[1]
