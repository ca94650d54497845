"""How fast posts are scored on this CPU or GPU, beside what users would pick instead.

    python benchmarks/score.py [--model minilm|base|FOLDER] [--posts 512] [--rounds 3] [--device cpu]

All contenders score the same posts with the same model, cut at the same 512 tokens, to the same 21
probabilities, in turn (A B C, A B C, ...). Shared machines drift, so the machine's peak is measured anew before
each of them, ratios are taken within a round, and the medians of the rounds are told. The posts are made up: common words, as many as
give Reddit's lengths (log-normal, median about 120 tokens, 6 % cut at 512). `base` and `minilm` are
BERT-base's and MiniLM's shapes with random weights, for speed does not hang on their values.

On a CPU each has one thread, and tokens per CPU-second are compared; on a GPU, tokens per second. The share
of the peak is of the products of matrices that the model cannot do without, over those that the machine
multiplies in a plain loop in bfloat16 (on a GPU in float16). Ray Data and datatrove are measured where they
are installed.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from contenders import CONTENDERS, NEEDS, PIPELINE_32, Bench, make_model, make_texts
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from corpus_lonely.memory import keep_freed_memory
from corpus_lonely.model.encoder import load_tokenizer
from corpus_lonely.model.network import LonelinessModel


@dataclass
class Measured:
    """One contender, an entry a round."""

    seconds: list[float] = field(default_factory=list)
    """CPU seconds on a CPU, else of the wall."""
    peaks: list[float] = field(default_factory=list)
    """GFLOP/s that the machine could do at that time."""


def measure(bench: Bench, names: Sequence[str], rounds: int) -> dict[str, Measured]:
    """All contenders, once a round each."""
    clock = time.process_time if bench.device == "cpu" else time.perf_counter
    ready = {name: CONTENDERS[name](bench) for name in names}
    found = {name: Measured() for name in names}
    scored: dict[str, NDArray[np.float32]] = {}
    for number in range(rounds):
        for name, run in ready.items():
            # Ray's work is done by another process: its wall is taken, the machine being idle
            watch = time.perf_counter if name in NEEDS else clock
            before = peak_gflops(bench.folder, bench.device)
            began = watch()
            scored[name] = run()
            found[name].seconds.append(watch() - began)
            after = peak_gflops(bench.folder, bench.device)
            found[name].peaks.append((before + after) / 2)
            print(
                f"round {number + 1}, {name}: {found[name].seconds[-1]:.1f} s, "
                f"peak {found[name].peaks[-1]:,.0f} GFLOP/s",
                file=sys.stderr,
            )
    for name, scored_NL in scored.items():  # no figure may hide work left out
        assert scored_NL.shape == scored[names[0]].shape, name
        # not of the root, whose answer was made steep
        assert np.abs(scored_NL - scored[names[0]])[:, 2:].max() < 0.1, name
    return found


def through_dask(bench: Bench, workers: int, copies: int) -> tuple[float, float]:
    """Posts and seconds of `corpus-lonely score`, Parquet to Parquet, start-up apart.

    The same lengths `copies` times over with other words, for a run must be longer than its ends.
    """
    from corpus_lonely.cluster import ClusterSettings
    from corpus_lonely.scoring.job import ScoreSettings, score_posts

    with tempfile.TemporaryDirectory() as folder:
        texts = [
            text
            for seed in range(copies)
            for text in make_texts(bench.folder, len(bench.texts), seed=100 + seed)
        ]
        source = Path(folder) / "posts.parquet"
        pq.write_table(pa.table({"text": texts}), source)
        threads = 1 if bench.device == "cpu" else None
        settings = ScoreSettings(
            str(source),
            bench.folder,
            Path(folder) / "scores",
            device=bench.device,
            cluster=ClusterSettings(workers=workers, threads=threads),
        )
        report = score_posts(settings)
    return report.counts.tokens / report.seconds / workers, report.posts_per_s / workers


def gflop_per_token(bench: Bench) -> float:
    """Of the products that each token needs, attention's among them; 2 operations an addition."""
    model = LonelinessModel.from_pretrained(bench.folder)
    config = model.encoder.config
    lengths = token_lengths(bench)
    width, inner = config.hidden_size, config.intermediate_size
    linear = 2 * (4 * width**2 + 2 * width * inner) * lengths.sum()
    attention = 4 * width * (lengths**2).sum()
    return float(config.num_hidden_layers * (linear + attention) / lengths.sum() / 1e9)


def token_lengths(bench: Bench) -> NDArray[np.int64]:
    """Tokens kept of each post."""
    encoded = load_tokenizer(bench.folder)(bench.texts, truncation=True, max_length=512)
    return np.array([len(ids) for ids in encoded["input_ids"]], dtype=np.int64)


def peak_gflops(folder: Path, device: str) -> float:
    """What products of the model's own shapes reach in half precision, the best of them, for now."""
    width, inner = _widths(folder)
    dtype = torch.bfloat16 if device == "cpu" else torch.float16
    rows = 2048 if device == "cpu" else 65536
    best = 0.0
    with torch.inference_mode():
        for inputs, outputs in ((width, inner), (inner, width), (width, width)):
            x = torch.randn(rows, inputs, dtype=dtype, device=device)
            weight = torch.randn(outputs, inputs, dtype=dtype, device=device)
            for _ in range(5):
                if device != "cpu":
                    torch.cuda.synchronize()
                began = time.process_time() if device == "cpu" else time.perf_counter()
                for _ in range(4):
                    torch.nn.functional.linear(x, weight)
                if device != "cpu":
                    torch.cuda.synchronize()
                ended = time.process_time() if device == "cpu" else time.perf_counter()
                best = max(best, 4 * 2 * rows * inputs * outputs / (ended - began) / 1e9)
    return best


@lru_cache
def _widths(folder: Path) -> tuple[int, int]:
    config = LonelinessModel.from_pretrained(folder).encoder.config
    return config.hidden_size, config.intermediate_size


def show(bench: Bench, found: dict[str, Measured], needed: float) -> None:
    """Prints the table."""
    unit = "CPU-s" if bench.device == "cpu" else "s"
    peak = statistics.median(peak for one in found.values() for peak in one.peaks)
    table = Table(
        title=f"{len(bench.texts):,} posts, {bench.tokens:,} tokens; peak {peak:,.0f} GFLOP/s "
        f"= {peak / needed:,.0f} tokens/{unit}"
    )
    for name in ("", f"posts/{unit}", f"tokens/{unit}", "ratio", "of the peak"):
        table.add_column(name, justify="right" if name else "left")
    first = found[PIPELINE_32].seconds
    for name, one in found.items():
        time_s = statistics.median(one.seconds)
        ratio = statistics.median(a / b for a, b in zip(first, one.seconds, strict=True))
        share = statistics.median(
            bench.tokens / s * needed / peak for s, peak in zip(one.seconds, one.peaks, strict=True)
        )
        table.add_row(
            name,
            f"{len(bench.texts) / time_s:,.1f}",
            f"{bench.tokens / time_s:,.0f}",
            f"{ratio:.2f}",
            f"{share:.0%}",
        )
    Console().print(table)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--posts", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--copies", type=int, default=8, help="of the posts, through Dask")
    parser.add_argument("--leave-out", nargs="*", default=[], choices=list(CONTENDERS))
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        torch.set_num_threads(1)
    keep_freed_memory()  # for all alike
    missing = [name for name, package in NEEDS.items() if not find_spec(package)]
    for name in missing:
        print(f"{name}: {NEEDS[name]} is not installed, left out", file=sys.stderr)
    names = [name for name in CONTENDERS if name not in {*missing, *arguments.leave_out}]

    with tempfile.TemporaryDirectory() as scratch:
        folder = make_model(arguments.model, Path(scratch) / "model")
        texts = make_texts(folder, arguments.posts)
        bench = Bench(folder, texts, 0, arguments.device)
        bench = Bench(folder, texts, int(token_lengths(bench).sum()), arguments.device)
        needed = gflop_per_token(bench)
        found = measure(bench, names, arguments.rounds)
        dask = Measured()
        for _ in range(arguments.rounds):
            before = peak_gflops(folder, arguments.device)
            per_token, _ = through_dask(bench, arguments.workers, arguments.copies)
            dask.seconds.append(bench.tokens / per_token)
            dask.peaks.append((before + peak_gflops(folder, arguments.device)) / 2)
        found[f"score through Dask, {arguments.workers} worker(s), wall time"] = dask
        show(bench, found, needed)


if __name__ == "__main__":
    main()
