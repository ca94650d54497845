"""Clusters that somebody else has started, in this process."""

from distributed import LocalCluster


def started(workers: int = 1, threads: int = 1) -> LocalCluster:
    """A scheduler with workers of so many threads, reached over TCP as a stranger's is."""
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=threads,
        processes=False,
        protocol="tcp://",
        dashboard_address=None,
        memory_limit=0,
    )
