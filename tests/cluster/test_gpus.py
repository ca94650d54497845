"""GPUs are counted without torch, and each worker sees its own."""

from pathlib import Path

import pytest

from corpus_lonely.cluster import count_gpus, gpus
from corpus_lonely.cluster.processes import environment


def test_gpus_are_counted_without_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: one (UUID: GPU-a)'\necho 'GPU 1: two (UUID: GPU-b)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "version", lambda _package: "2.9.0")
    assert count_gpus() == 2
    for visible, expected in (("", 0), ("-1", 0), ("3", 1), ("GPU-a,GPU-b", 2)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert count_gpus() == expected
    monkeypatch.setattr(gpus, "version", lambda _package: "2.9.0+cpu")
    assert count_gpus() == 0


def test_each_worker_sees_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [gpus.pin(i, 2) for i in range(3)] == [
        {"CUDA_VISIBLE_DEVICES": "0"},
        {"CUDA_VISIBLE_DEVICES": "1"},
        {"CUDA_VISIBLE_DEVICES": "0"},
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert gpus.pin(1, 2) == {"CUDA_VISIBLE_DEVICES": "7"}
    assert gpus.pin(0, 0) == {}


def test_those_of_a_slurm_job_are_dealt_out_by_the_names_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-8f,MIG-1")
    assert [environment(i, 4, 3)["CUDA_VISIBLE_DEVICES"] for i in range(4)] == [
        "2",
        "GPU-8f",
        "MIG-1",
        "2",
    ]
    assert environment(0, 4, 3)["OMP_NUM_THREADS"] == "4"
    assert "CUDA_VISIBLE_DEVICES" not in environment(0, 4, 0)
