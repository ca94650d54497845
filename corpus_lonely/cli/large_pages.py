"""Memory in pages of 2 MB for what computes: with 4 kB a CPU spends its time on finding them (docs/log.md)."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_NAME = "GLIBC_TUNABLES"
_COMPUTING = frozenset({"adapt", "demo", "describe", "evaluate", "experiment", "score", "train"})
"""Commands that compute in this process too, not only in those that it starts."""
_OURS = frozenset({"corpus-lonely", "__main__.py"})
"""What Python runs when it is our script, or `-m corpus_lonely`."""


def ask_for_large_pages(arguments: Sequence[str]) -> None:
    """Has glibc ask Linux for large pages, here and in all processes that this one starts.

    glibc reads it as a process begins, so a command that computes begins once more: the same process,
    with the same words. Where there is no glibc 2.35, or Linux gives no such pages, nothing changes.
    A user's own GLIBC_TUNABLES stays, and a program that calls us is not begun again.
    """
    if sys.platform != "linux" or _NAME in os.environ:
        return
    os.environ[_NAME] = "glibc.malloc.hugetlb=1"
    if arguments and arguments[0] in _COMPUTING and "--help" not in arguments and _alone(arguments):
        with suppress(OSError):  # it is only faster
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  (no shell)


def _alone(arguments: Sequence[str]) -> bool:
    """Whether this process is our command and nothing else: no notebook, no script of a user's."""
    words = sys.orig_argv[-len(arguments) :]
    return bool(sys.executable) and Path(sys.argv[0]).name in _OURS and words == list(arguments)
