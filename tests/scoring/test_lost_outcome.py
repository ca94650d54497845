"""A worker may die between the end of a shard and the driver's asking for the outcome."""

from collections.abc import Callable
from typing import Any

import pytest
from distributed import KilledWorker

from corpus_lonely.errors import ScoringError
from corpus_lonely.scoring import on_cluster
from corpus_lonely.scoring.on_cluster import OnCluster


class Future:
    """Ends at once, as its status says; the outcome is the shard itself."""

    def __init__(self, shard: Any, status: str, error: BaseException | None = None) -> None:
        self.shard, self.status, self.error = shard, status, error

    def add_done_callback(self, call: Callable[[Any], None]) -> None:
        call(self)

    def result(self) -> Any:
        if self.error:
            raise self.error
        return self.shard

    def release(self) -> None:
        pass


class Client:
    """Gives futures of the statuses told, one after the other, and counts what is cancelled."""

    def __init__(self, *ends: tuple[str, BaseException | None]) -> None:
        self.ends = list(ends)
        self.cancelled: list[Future] = []
        self.keys: list[str] = []

    def submit(self, _function: Any, shard: Any, *_rest: Any, key: str, **_options: Any) -> Future:
        self.keys.append(key)
        return Future(shard, *(self.ends.pop(0) if self.ends else ("finished", None)))

    def cancel(self, futures: list[Future], **_options: Any) -> None:
        self.cancelled += futures

    def nthreads(self) -> dict[str, int]:
        return {"a": 1}

    def subscribe_topic(self, *_arguments: Any) -> None:
        pass

    unsubscribe_topic = subscribe_topic


class Cluster:
    address = "tcp://somewhere"

    def __init__(self, client: Client) -> None:
        self.client = client

    def workers(self) -> set[str]:
        return {"a"}

    def alive(self) -> bool:
        return True


class Shard:
    worker = ""  # as an outcome, it tells nobody

    def __init__(self, index: int) -> None:
        self.index = index


@pytest.fixture(autouse=True)
def _futures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_cluster, "Future", Future)


def outcomes(client: Client, shards: list[Shard]) -> list[Any]:
    cluster: Any = Cluster(client)
    task: Any = None
    everything: Any = shards
    return list(OnCluster(cluster, lambda _: None).score(everything, task, lambda *_: None))


@pytest.mark.parametrize("status", ["lost", "pending"])
def test_it_is_handed_out_again_under_another_key(status: str) -> None:
    client, shards = Client((status, None), ("finished", None)), [Shard(0), Shard(1)]
    assert sorted(outcomes(client, shards), key=shards.index) == shards
    assert len(client.keys) == len(set(client.keys)) == 3
    assert [future.status for future in client.cancelled] == [status]


def test_one_that_is_done_again_and_kills_its_workers_fails_alone() -> None:
    worker: Any = None
    killed = KilledWorker("key", worker, 3)
    client, shards = Client(("finished", killed)), [Shard(0), Shard(1)]
    # begun less often than its workers died, so it is tried once more alone, and ends well
    assert sorted(outcomes(client, shards), key=shards.index) == shards


def test_what_is_cancelled_is_the_schedulers_end() -> None:
    with pytest.raises(ScoringError, match="the scheduler is gone"):
        outcomes(Client(("cancelled", None)), [Shard(0)])
