"""Dask clusters in one place: this machine, SLURM, hosts over SSH, or a scheduler that exists."""

from corpus_lonely.cluster.gpus import count_gpus
from corpus_lonely.cluster.handle import Cluster
from corpus_lonely.cluster.opening import open_cluster
from corpus_lonely.cluster.processes import MAX_DEATHS, dask_setup, plan_workers
from corpus_lonely.cluster.settings import ClusterSettings, SlurmSettings, SshSettings

__all__ = [
    "MAX_DEATHS",
    "Cluster",
    "ClusterSettings",
    "SlurmSettings",
    "SshSettings",
    "count_gpus",
    "dask_setup",  # Dask calls it in each worker, which preloads `corpus_lonely.cluster`
    "open_cluster",
    "plan_workers",
]
