"""Asks SLURM which jobs of this user work, or will."""

import asyncio
import os
from contextlib import suppress

_ANSWER_S = 60.0
_NEVER = ("held", "jobhold")
"""In the reasons of jobs that wait for a person: JobHeldAdmin, launch failed requeued held."""


async def jobs_alive() -> set[str] | None:
    """The ids of the jobs that work or will; None when SLURM does not answer."""
    # of these, the reason alone may hold spaces
    command = ["squeue", "--noheader", f"--user={os.getuid()}", "--format=%A %T %r"]
    asked = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        told, _ = await asyncio.wait_for(asked.communicate(), _ANSWER_S)
    except TimeoutError:
        return None
    finally:
        with suppress(ProcessLookupError):  # it has ended, as it should
            asked.kill()
    return None if asked.returncode else parse_alive(told.decode(errors="replace"))


def parse_alive(told: str) -> set[str]:
    """The ids of the jobs that work or will, of lines with a job's id, state and reason."""
    alive = set()
    for line in told.splitlines():
        job, _, rest = line.strip().partition(" ")
        state, _, reason = rest.strip().partition(" ")
        if job and state != "COMPLETING" and not any(word in reason.lower() for word in _NEVER):
            alive.add(job)
    return alive
