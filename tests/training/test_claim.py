"""One process at a time trains in a folder; what a killed one left does not stop the next."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from corpus_lonely.errors import BusyError, OutputError
from corpus_lonely.files import about_folder
from corpus_lonely.training import claim
from corpus_lonely.training.adaptation.run import adapt_encoder
from corpus_lonely.training.claim import claimed, holder
from corpus_lonely.training.train import train_model
from tests.training.adaptation import made
from tests.training.test_train import settings

_HOLDS = """
import sys, time
from pathlib import Path
from corpus_lonely.training.claim import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def other_process(out: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(out)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def leave(out: Path, **told: Any) -> Path:
    """A claim that its holder did not take away."""
    mark = about_folder(out) / "claim.json"
    mark.parent.mkdir()
    here = {"host": socket.gethostname(), "process": os.getpid(), "since": "noon"}
    mark.write_text(json.dumps({**here, **told}))
    return mark


def no_locks(*_: object) -> None:
    raise OSError("no locks here")


def test_a_folder_at_work_is_left_to_its_process_until_that_is_gone(
    tmp_path: Path, tiny_labels: Path, tiny_encoder: Path
) -> None:
    out = tmp_path / "model"
    process = other_process(out)
    try:
        told = rf"model: another process \({process.pid} on host {socket.gethostname()}, since .* UTC\)"
        assert str(process.pid) in (holder(out) or "")
        with pytest.raises(BusyError, match=told) as caught:
            train_model(settings(tiny_labels, tiny_encoder, out))
        assert "run the same command again" in str(caught.value)
        posts = made.write_posts(tmp_path / "p.parquet", made.made_texts(30))
        with pytest.raises(BusyError, match=told):
            adapt_encoder(made.settings(posts, tiny_encoder, out))
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()
    assert (about_folder(out) / "claim.json").is_file()
    assert holder(out) is None
    train_model(settings(tiny_labels, tiny_encoder, out, epochs=1))
    assert not about_folder(out).exists()


def test_one_that_waits_gets_it_when_it_is_free(tmp_path: Path) -> None:
    held, order = threading.Event(), []

    def hold() -> None:
        with claimed(tmp_path / "m"):
            held.set()
            time.sleep(0.4)
            order.append("first")

    first = threading.Thread(target=hold)
    first.start()
    held.wait()
    with pytest.raises(BusyError), claimed(tmp_path / "m", patience_s=0):
        pass
    with claimed(tmp_path / "m", patience_s=20):
        order.append("second")
    first.join()
    assert order == ["first", "second"]


def test_a_claim_of_another_host_counts_until_it_is_old(tmp_path: Path) -> None:
    mark = leave(tmp_path / "m", host="elsewhere", process=3)
    with (
        pytest.raises(BusyError, match=r"3 on host elsewhere, since noon.* remove .*claim\.json"),
        claimed(tmp_path / "m", patience_s=0),
    ):
        pass
    assert holder(tmp_path / "m")
    os.utime(mark, (time.time() - 3600,) * 2)
    assert holder(tmp_path / "m") is None
    with claimed(tmp_path / "m"):
        assert json.loads(mark.read_text())["host"] == socket.gethostname()
    assert not mark.parent.exists()


def test_a_claim_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "_RENEWED_S", 0.02)
    with claimed(tmp_path / "m"):
        mark = about_folder(tmp_path / "m") / "claim.json"
        os.utime(mark, (1, 1))
        until = time.monotonic() + 20
        while mark.stat().st_mtime < 2:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_without_locks_the_process_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus_lonely.training.claim.fcntl.flock", no_locks)
    leave(tmp_path / "alive", process=os.getppid())
    with pytest.raises(BusyError), claimed(tmp_path / "alive", patience_s=0):
        pass
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    leave(tmp_path / "gone", process=gone.pid)
    with claimed(tmp_path / "gone"):
        pass
    assert not about_folder(tmp_path / "gone").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"), claimed(tmp_path / "file" / "m"):
        pass
