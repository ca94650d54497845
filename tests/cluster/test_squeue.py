"""Which jobs SLURM still means to work, out of what squeue prints."""

import asyncio
import time
from pathlib import Path

import psutil
import pytest

from corpus_lonely.cluster import squeue

ANSWER = """\
101 RUNNING None
102 PENDING Resources
103 PENDING Priority
104 PENDING JobHeldAdmin
105 PENDING JobHeldUser
106 PENDING launch failed requeued held
107 PENDING JobHoldMaxRequeue
108 COMPLETING None
109 COMPLETING NonZeroExitCode
110 CONFIGURING None
111 PENDING QOSUsageThreshold
112 PENDING Nodes required for job are DOWN, DRAINED or reserved
113 SUSPENDED None
"""


def test_jobs_that_wait_for_a_person_or_are_at_their_end_do_not_count() -> None:
    alive = squeue.parse_alive(ANSWER)
    assert alive == {"101", "102", "103", "110", "111", "112", "113"}
    assert squeue.parse_alive("") == set()
    assert squeue.parse_alive("\n114 RUNNING\n") == {"114"}  # no reason at all


def answering(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """What the command squeue is, in this process."""
    program = folder / "squeue"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_what_is_asked_and_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(tmp_path, monkeypatch, f"echo \"$@\" >{tmp_path}/asked\necho '7 RUNNING None'")
    assert asyncio.run(squeue.jobs_alive()) == {"7"}
    assert "--format=%A %T %r" in (tmp_path / "asked").read_text()
    answering(tmp_path, monkeypatch, "echo '7 RUNNING None'; exit 1")
    assert asyncio.run(squeue.jobs_alive()) is None


def test_a_squeue_that_does_not_answer_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask() -> set[str] | None:
        alive = await squeue.jobs_alive()
        while psutil.pid_exists(int((tmp_path / "pid").read_text())):
            await asyncio.sleep(0.01)
        return alive

    monkeypatch.setattr(squeue, "_ANSWER_S", 0.3)
    answering(tmp_path, monkeypatch, f"echo $$ >{tmp_path}/pid\nexec sleep 60")
    began = time.monotonic()
    assert asyncio.run(asyncio.wait_for(ask(), 20)) is None
    assert time.monotonic() - began < 20
