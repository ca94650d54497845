"""What everything but the model costs: how many posts a second a device could be fed and relieved of.

    python benchmarks/host.py [--posts 65536] [--threads 1]

A stand-in for the device gives zeros back at once, so what is left is the host's work: reading Parquet,
normalising, finding equal texts, tokenising, cutting batches, laying posts end to end, and writing scores.
Prints posts and tokens per CPU-second of each step. Posts as in benchmarks/score.py.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from contenders import make_model, make_texts

from corpus_lonely import tables
from corpus_lonely.inference.batching import tokenise
from corpus_lonely.inference.engine import Engine, EngineSettings
from corpus_lonely.text import normalise


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` gives, and the CPU seconds of all threads that it took."""
    began = time.process_time()
    return work(), time.process_time() - began


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=65536)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(arguments.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_model("minilm", Path(scratch) / "model")
        source = Path(scratch) / "posts.parquet"
        pq.write_table(pa.table({"text": make_texts(folder, arguments.posts)}), source)
        settings = EngineSettings(device="cpu", precision="bf16", batch_tokens=65536, threads=1)
        engine = Engine.load(folder, settings)
        engine._forward = lambda ids: torch.zeros(len(ids), 21)  # type: ignore[method-assign]  # noqa: SLF001

        texts, reading = timed(lambda: pq.read_table(source).column("text").to_pylist())
        clean, normalising = timed(lambda: [normalise(text) for text in texts])
        tokens, cutting = timed(lambda: tokenise(engine.tokenizer, clean, 512))
        posts = np.arange(len(texts))
        _, batching = timed(lambda: list(engine.sweep(engine._forward, posts, tokens)))  # noqa: SLF001
        scores, scoring = timed(lambda: engine.score(texts))
        out = Path(scratch) / "part.parquet"
        _, writing = timed(lambda: tables.write_parquet(scores.to_arrow(), out))

    total = int(tokens.lengths.sum())
    rows = {
        "reading": reading,
        "normalising": normalising,
        "tokenising": cutting,
        "cutting batches": batching,
        "engine, all of it": scoring,
        "writing": writing,
        "in all": reading + scoring + writing,
    }
    print(f"{len(texts):,} posts, {total:,} tokens")
    for name, seconds in rows.items():
        rate = len(texts) / seconds
        print(f"{name:20} {rate:10,.0f} posts/CPU-s {total / seconds:12,.0f} tokens/CPU-s")


if __name__ == "__main__":
    main()
