"""Near-duplicates of posts: `corpus-lonely mark` beside datasketch, the usual choice, on the same posts.

    pip install datasketch; python benchmarks/mark.py [--posts 20000] [--rounds 3]

Synthetic posts with log-normal lengths (median 90 words), one in ten a copy of an earlier one with a few words
changed. Both make signatures of 128 permutations over runs of three words, and index 16 bands. Prints posts
a CPU-second of both (medians of runs in turn), their ratio, the copies that each finds, and what languages cost.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl


def make_posts(path: Path, count: int) -> tuple[list[str], int]:
    """Writes posts; tells their texts and how many are copies."""
    dice = np.random.default_rng(0)
    vocabulary = np.array([f"w{number}" for number in range(20_000)])
    texts: list[str] = []
    copies = 0
    for _ in range(count):
        if texts and dice.random() < 0.1:
            words = texts[dice.integers(len(texts))].split()
            for place in dice.integers(0, len(words), max(1, len(words) // 100)):
                words[place] = "edited"
            copies += 1
        else:
            length = int(np.clip(np.exp(dice.normal(np.log(90), 0.8)), 12, 2000))
            words = list(vocabulary[(dice.pareto(1.0, length) * 10).astype(int) % 20_000])
        texts.append(" ".join(words))
    ids = [f"t3_{row:x}" for row in range(count)]
    pl.DataFrame({"post_id": ids, "text": texts}).write_parquet(path)
    return texts, copies


def by_datasketch(texts: list[str]) -> int:
    """Copies found as datasketch's own page does it: each text asked for, then put in."""
    from datasketch import MinHash, MinHashLSH

    index, found = MinHashLSH(params=(16, 8), num_perm=128), 0
    for number, text in enumerate(texts):
        words = re.findall(r"\w+", text.casefold())
        signature = MinHash(num_perm=128)
        signature.update_batch(
            [" ".join(words[at : at + 3]).encode() for at in range(len(words) - 2)]
        )
        found += bool(index.query(signature))
        index.insert(number, signature)
    return found


def ours(posts: Path, near_duplicates: bool) -> int:
    """Copies found, or 0 where only languages are asked for."""
    from corpus_lonely.marking.run import mark_posts
    from corpus_lonely.marking.settings import MarkSettings

    with tempfile.TemporaryDirectory() as folder:
        settings = MarkSettings(
            str(posts), Path(folder) / "m", near_duplicates, not near_duplicates
        )
        counts = mark_posts(settings).near_duplicates
    return counts["later"] if counts else 0


def main() -> None:
    """Runs all in turn and prints their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        posts = Path(folder) / "posts.parquet"
        texts, copies = make_posts(posts, asked.posts)
        contenders: dict[str, Callable[[], int]] = {
            "datasketch": lambda: by_datasketch(texts),
            "mark --near-duplicates": lambda: ours(posts, near_duplicates=True),
            "mark --language": lambda: ours(posts, near_duplicates=False),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        found: dict[str, int] = {}
        for _ in range(asked.rounds):
            for name, run in contenders.items():
                began = time.process_time()
                found[name] = run()
                seconds[name].append(time.process_time() - began)
    first = statistics.median(seconds["datasketch"])
    for name, runs in seconds.items():
        median = statistics.median(runs)
        print(
            f"{name:<24}{asked.posts / median:>9,.0f} posts/CPU-s ({first / median:.1f}x) "
            f"{found[name]:>7,} of {copies:,} copies found"
        )


if __name__ == "__main__":
    main()
