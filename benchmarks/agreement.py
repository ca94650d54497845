"""How far each precision's scores are from those of float32, on posts of your own, and what each costs.

    python benchmarks/agreement.py --model model/ --input posts/ [--text-column text] [--posts 1126]
    python benchmarks/agreement.py --model model/ --labels FIG-Loneliness --split dev

The same posts go through the engine once for each precision, float32 first. For all distributions of all
posts: the greatest and the mean absolute difference, the share of groups whose most likely label is another,
and the greatest shift of a label's mean over the posts, for a study compares means. No text is printed.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from corpus_lonely.inference.engine import Engine, EngineSettings
from corpus_lonely.taxonomy import Taxonomy, loneliness

Scored = NDArray[np.float32]


def read_texts(arguments: argparse.Namespace) -> list[str]:
    """The texts of labelled posts, or of a Parquet file or folder."""
    if arguments.labels:
        from corpus_lonely.training.labels import load_labels

        texts = load_labels(arguments.labels, loneliness())[arguments.split].texts
    else:
        import polars as pl

        frame = pl.read_parquet(arguments.input, columns=[arguments.text_column])
        texts = frame[arguments.text_column].drop_nulls().to_list()
    return list(texts[: arguments.posts])


def score(model: Path, texts: list[str], precision: str, device: str) -> tuple[Engine, Scored, int]:
    """The engine, the scores (N, L), and tokens per second: of one thread's CPU time, or of a GPU's wall."""
    on_cpu = device == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    settings = EngineSettings(precision=precision, device=device, threads=1 if on_cpu else None)
    engine = Engine.load(model, settings)
    engine.score(texts[:8])
    began = clock()
    scores = engine.score(texts)
    rate = round(float(scores.num_tokens.sum()) / (clock() - began))
    return engine, scores.probabilities_NL, rate


def compare(exact_NL: Scored, scored_NL: Scored, taxonomy: Taxonomy) -> list[str]:
    """The figures of one precision, as the table shows them."""
    difference_NL = np.abs(scored_NL - exact_NL)
    parts = taxonomy.slices.values()
    differing = [
        (scored_NL[:, part].argmax(axis=1) != exact_NL[:, part].argmax(axis=1)).mean()
        for part in parts
    ]
    shift_L = np.abs(scored_NL.mean(axis=0, dtype=float) - exact_NL.mean(axis=0, dtype=float))
    return [
        f"{difference_NL.max():.4f}",
        f"{difference_NL.mean():.5f}",
        f"{np.mean(differing):.2%}",
        f"{shift_L.max():.5f}",
    ]


def main() -> None:
    """Scores with each precision and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--input", type=Path)
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--labels")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--posts", type=int, default=10_000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precisions", nargs="+", help="mixed bf16; on a GPU fp16 bf16")
    arguments = parser.parse_args()
    if bool(arguments.labels) == bool(arguments.input):
        parser.error("give either --labels or --input")
    texts = read_texts(arguments)
    usual, unit = (
        (["mixed", "bf16"], "CPU-s") if arguments.device == "cpu" else (["fp16", "bf16"], "s")
    )

    engine, exact_NL, rate = score(arguments.model, texts, "fp32", arguments.device)
    usable = np.isfinite(exact_NL).all(axis=1)
    table = Table(title=f"{int(usable.sum()):,} posts on {engine.device}, against fp32")
    for name in ("precision", "greatest", "mean", "other argmax", "mean shift", f"tokens/{unit}"):
        table.add_column(name, justify="left" if name == "precision" else "right")
    table.add_row("fp32", "0", "0", "0", "0", f"{rate:,} (1.00)")
    for precision in arguments.precisions or usual:
        _, scored_NL, speed = score(arguments.model, texts, precision, arguments.device)
        figures = compare(exact_NL[usable], scored_NL[usable], engine.taxonomy)
        table.add_row(precision, *figures, f"{speed:,} ({speed / rate:.2f})")
    Console().print(table)


if __name__ == "__main__":
    main()
