"""Memory in pages of 2 MB for what computes: with 4 kB a CPU spends its time on finding them (docs/log.md)."""

import os
import sys
from collections.abc import Sequence

_NAME = "GLIBC_TUNABLES"
_COMPUTING = frozenset({"adapt", "demo", "describe", "evaluate", "experiment", "score", "train"})
"""Commands that compute in this process too, not only in those that it starts."""


def ask_for_large_pages(arguments: Sequence[str]) -> None:
    """Has glibc ask Linux for large pages, here and in all processes that this one starts.

    glibc reads it as a process begins, so a command that computes begins once more: the same process,
    with the same words. Where there is no glibc 2.35, or Linux gives no such pages, nothing changes.
    A user's own GLIBC_TUNABLES stays.
    """
    if sys.platform != "linux" or _NAME in os.environ:
        return
    os.environ[_NAME] = "glibc.malloc.hugetlb=1"
    if arguments and arguments[0] in _COMPUTING and "--help" not in arguments:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  (no shell)
