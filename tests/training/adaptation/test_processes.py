"""Several processes, as `torchrun` starts them, and a process that is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from corpus_lonely.training.adaptation.run import adapt_encoder
from tests.command_lines import ROOT
from tests.tiny import make_tiny_encoder
from tests.training.adaptation.made import (
    made_texts,
    record,
    settings,
    without_dropout,
    write_posts,
)

OPTIONS = [
    "--max-tokens",
    "64",
    "--learning-rate",
    "1e-3",
    "--precision",
    "fp32",
    "--device",
    "cpu",
]
OPTIONS += ["--held-out", "0.1", "--epochs", "2", "--threads", "1"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    return write_posts(
        tmp_path / "p.parquet", made_texts(142)
    )  # 128 are learnt from: 8 whole batches


def torchrun(*words: str | Path) -> subprocess.CompletedProcess[str]:
    starter = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    starter += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    command = [*starter, *map(str, words)]
    return subprocess.run(
        command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200
    )


def values(history: Sequence[dict[str, Any]]) -> list[float]:
    keys = ("loss", "grad_norm", "eval_perplexity")
    return [entry[key] for entry in history for key in keys if key in entry]


@pytest.mark.slow
def test_two_processes_do_what_one_does(posts: Path, tmp_path: Path) -> None:
    encoder = without_dropout(make_tiny_encoder(tmp_path / "tiny"))
    adapt_encoder(settings(posts, encoder, tmp_path / "one"))
    words: list[str | Path] = ["--input", posts, "--encoder", encoder, "--out", tmp_path / "two"]
    ran = torchrun("-m", "corpus_lonely", "adapt", *words, *OPTIONS)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("made from 128 posts") == ran.stdout.count("Encoder") == 1
    assert ran.stderr.count("Cutting posts") == ran.stderr.count("saved without") == 1
    one, two = record(tmp_path / "one"), record(tmp_path / "two")
    assert (one["processes"], two["processes"]) == (1, 2)
    assert (one["fingerprint"], one["steps"]) == (two["fingerprint"], two["steps"] == 16 and 16)
    assert len(values(one["history"])) > 30
    assert values(two["history"]) == pytest.approx(values(one["history"]), rel=2e-3)
    assert {path.name for path in tmp_path.iterdir()} == {"p.parquet", "tiny", "one", "two"}


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_go_on_from_the_middle_of_an_epoch(posts: Path, tmp_path: Path) -> None:
    encoder = make_tiny_encoder(tmp_path / "tiny")
    script = Path(__file__).with_name("torchrun_runs.py")
    ran = torchrun(script, posts, encoder, tmp_path)
    assert ran.returncode == 0, ran.stderr
    whole, broken = (
        load_file(tmp_path / name / "model.safetensors") for name in ("whole", "broken")
    )
    assert all(torch.equal(value, broken[name]) for name, value in whole.items())


@pytest.mark.slow
@pytest.mark.long
def test_a_killed_run_goes_on_to_the_same_weights(posts: Path, tmp_path: Path) -> None:
    encoder = make_tiny_encoder(tmp_path / "tiny")
    told = settings(posts, encoder, tmp_path / "whole", epochs=20)
    adapt_encoder(told)
    words = ["--input", posts, "--encoder", encoder, "--out", tmp_path / "broken", *OPTIONS]
    command = [sys.executable, "-m", "corpus_lonely", "adapt", *words, "--epochs", "20"]
    with subprocess.Popen(
        [*map(str, command)], env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.DEVNULL
    ) as process:
        while not list((tmp_path / "broken.about").glob("checkpoints/*/checkpoint-*")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "broken").exists()
    adapt_encoder(settings(posts, encoder, tmp_path / "broken", epochs=20))
    whole, broken = (
        load_file(tmp_path / name / "model.safetensors") for name in ("whole", "broken")
    )
    assert all(torch.equal(value, broken[name]) for name, value in whole.items())
