"""Ends the lives of workers while they are at work, however fast the machine is."""

import time
from typing import Any

import pytest
from distributed import Client, Worker, WorkerPlugin

from corpus_lonely.cluster.existing import check_versions


class Ending(WorkerPlugin):
    """Each worker, those that come later too, leaves in the midst of a part, after some others.

    It does what Dask does when a lifetime is over.
    """

    def __init__(self, parts: int) -> None:
        self.parts = parts

    def setup(self, worker: Worker) -> None:
        """Called by Dask in each worker."""
        from corpus_lonely.inference.engine import Engine  # noqa: PLC0415  (torch takes seconds to import)

        whole = Engine.score
        left = self.parts

        def score(engine: Engine, *arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == -1:
                worker.loop.add_callback(worker.close_gracefully, reason="worker-lifetime-reached")
                time.sleep(2)
            return whole(engine, *arguments, **options)

        Engine.score = score  # type: ignore[assignment, method-assign]


def end_lives(monkeypatch: pytest.MonkeyPatch, module: str, parts: int) -> None:
    """Ends workers of the clusters that a module of `corpus_lonely.cluster` opens."""

    def check(client: Client, where: str) -> None:
        check_versions(client, where)
        client.register_plugin(Ending(parts))

    monkeypatch.setattr(f"corpus_lonely.cluster.{module}.check_versions", check)
