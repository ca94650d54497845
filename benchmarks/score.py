"""How fast posts are scored on this CPU or GPU, beside what users would pick instead.

    python benchmarks/score.py [--model minilm|base|FOLDER] [--posts 512] [--rounds 3] [--device cpu]

All contenders score the same posts with the same model, cut at the same 512 tokens, to the same 21
probabilities, in turn (A B C, A B C, ...); medians are told. The posts are made up: common words, as many as
give Reddit's lengths (log-normal, median about 120 tokens, 6 % cut at 512). `base` and `minilm` are
BERT-base's and MiniLM's shapes with random weights, for speed does not hang on their values.

On a CPU each has one thread, and tokens per CPU-second are compared; on a GPU, tokens per second. The share
of the peak is of the products of matrices that the model cannot do without, over those that the machine
multiplies in a plain loop in bfloat16 (on a GPU in float16). Ray Data and datatrove are measured where they
are installed; both leave batching to their user, so they are given the pipeline of their documentation.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from transformers import BertConfig, Pipeline

from corpus_lonely.inference.device import keep_freed_memory
from corpus_lonely.inference.engine import Engine, EngineSettings
from corpus_lonely.model.encoder import find_encoder, load_tokenizer
from corpus_lonely.model.network import LonelinessConfig, LonelinessModel

SHAPES = {
    "base": BertConfig(vocab_size=30522),
    "minilm": BertConfig(
        vocab_size=30522,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
    ),
    "tiny": BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    ),
}
PIPELINE_32 = "pipeline, batch 32"
DOUBTFUL = 0.05
"""Share of posts with P(lonely) between .1 and .9: 4 % of FIG-Loneliness's dev posts."""


@dataclass(frozen=True)
class Bench:
    """What all contenders share."""

    folder: Path
    """The model."""
    texts: list[str]
    tokens: int
    """Kept of all texts, without padding."""
    device: str


def make_model(name: str, folder: Path) -> Path:
    """The folder of a model: an existing one, or a shape with random weights."""
    if name not in SHAPES:
        return Path(name)
    torch.manual_seed(0)
    # beta 1: the root's answer is that of one layer, which can be set below
    config = LonelinessConfig(encoder_config=SHAPES[name].to_dict(), beta=1.0)
    model = LonelinessModel(config).train(mode=False)
    load_tokenizer(find_encoder("minilm")).save_pretrained(folder)
    leave_in_doubt(model, make_texts(folder, 100, seed=1), folder)
    model.save_pretrained(folder)
    return folder


@torch.no_grad()
def leave_in_doubt(model: LonelinessModel, texts: list[str], folder: Path) -> None:
    """Sets the root's last layer so that it is sure of all posts but DOUBTFUL, as trained ones are.

    Random weights are sure of none, and the default precision would score every post twice.
    """
    head: Any = model.head
    layer = head.local_outs["lonely"]
    margins: list[float] = []
    seen = layer.register_forward_hook(
        lambda _layer, _inputs, out_BK: margins.append(float(out_BK[0, 1] - out_BK[0, 0]))
    )
    tokenizer = load_tokenizer(folder)
    for text in texts:
        encoded = tokenizer(text, truncation=True, max_length=512, return_tensors="pt")
        model(encoded["input_ids"], encoded["attention_mask"])
    seen.remove()
    middle = statistics.median(margins)
    near = float(np.quantile(np.abs(np.array(margins) - middle), DOUBTFUL))
    layer.bias[1] -= middle
    steepness = np.log(0.9 / 0.1) / near  # at that margin the engine calls a post sure
    layer.weight.mul_(steepness)
    layer.bias.mul_(steepness)


def make_texts(folder: Path, posts: int, seed: int = 0) -> list[str]:
    """Posts of words that are one token each, their lengths as on Reddit."""
    vocabulary = load_tokenizer(folder).get_vocab()
    words = np.array(
        [word for word in sorted(vocabulary) if word.isascii() and word.isalpha() and len(word) > 2]
    )
    dice = np.random.default_rng(seed)
    lengths = np.clip(np.exp(dice.normal(np.log(120), 0.94, posts)), 3, 2000).astype(int)
    return [" ".join(dice.choice(words, length - 2)) for length in lengths]


class Probabilities(Pipeline):
    """Hugging Face's pipeline around our model, as its documentation says to write one."""

    def _sanitize_parameters(self, **_options: Any) -> tuple[dict[str, Any], ...]:
        return {}, {}, {}

    def preprocess(self, input_: Any, **_options: Any) -> Any:
        tokenizer: Any = self.tokenizer
        return tokenizer(input_, truncation=True, max_length=512, return_tensors="pt")

    def _forward(self, input_tensors: Any, **_options: Any) -> Any:
        model: Any = self.model
        output = model(input_tensors["input_ids"], input_tensors["attention_mask"])
        return {"probabilities": output.probabilities}

    def postprocess(self, model_outputs: Any, **_options: Any) -> Any:
        return model_outputs["probabilities"][0].tolist()


def make_pipeline(folder: Path, device: str) -> Any:
    """A pipeline with the model as `from_pretrained` gives it, in float32."""
    model = LonelinessModel.from_pretrained(folder)
    tokenizer: Any = load_tokenizer(folder)
    return Probabilities(model=model, tokenizer=tokenizer, device=torch.device(device))


def by_pipeline(batch_size: int) -> Callable[[Bench], Callable[[], NDArray[np.float32]]]:
    """Hugging Face's pipeline, which takes the posts as they come."""

    def prepare(bench: Bench) -> Callable[[], NDArray[np.float32]]:
        pipeline = make_pipeline(bench.folder, bench.device)
        return lambda: np.array(pipeline(bench.texts, batch_size=batch_size), dtype=np.float32)

    return prepare


def by_length(bench: Bench) -> Callable[[], NDArray[np.float32]]:
    """Batches of 32 posts sorted by length, in float32, as sentence-transformers' `encode` makes them."""
    pipeline = make_pipeline(bench.folder, bench.device)

    def run() -> NDArray[np.float32]:
        order = np.argsort([-len(text) for text in bench.texts], kind="stable")
        scored_NL = np.empty((len(order), 21), np.float32)
        scored_NL[order] = pipeline([bench.texts[place] for place in order], batch_size=32)
        return scored_NL

    return run


def by_engine(precision: str) -> Callable[[Bench], Callable[[], NDArray[np.float32]]]:
    """This package's engine, without Dask or files."""

    def prepare(bench: Bench) -> Callable[[], NDArray[np.float32]]:
        threads = 1 if bench.device == "cpu" else None
        settings = EngineSettings(precision=precision, device=bench.device, threads=threads)
        engine = Engine.load(bench.folder, settings)
        return lambda: engine.score(bench.texts).probabilities_NL

    return prepare


def by_ray(bench: Bench) -> Callable[[], NDArray[np.float32]]:
    """Ray Data's `map_batches` with one actor of one CPU that holds the pipeline."""
    import ray

    device = bench.device
    folder = bench.folder

    class Scorer:
        def __init__(self) -> None:
            torch.set_num_threads(1)
            self.pipeline = make_pipeline(folder, device)

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            scored = self.pipeline(list(batch["text"]), batch_size=32)
            return {"row": batch["row"], "scored": np.array(scored, dtype=np.float32)}

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    rows = [{"row": row, "text": text} for row, text in enumerate(bench.texts)]

    def run() -> NDArray[np.float32]:
        data = ray.data.from_items(rows).map_batches(Scorer, batch_size=256, concurrency=1)
        scored = sorted(data.take_all(), key=lambda row: row["row"])
        return np.stack([row["scored"] for row in scored])

    return run


def by_datatrove(bench: Bench) -> Callable[[], NDArray[np.float32]]:
    """A datatrove step in a local executor's manner: documents through the pipeline, 32 at a time."""
    from datatrove.data import Document
    from datatrove.pipeline.base import PipelineStep

    pipeline = make_pipeline(bench.folder, bench.device)

    class Scorer(PipelineStep):  # type: ignore[misc]
        name = "score"
        type = "score"

        def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:  # noqa: ARG002
            documents = list(data)
            scored = pipeline([document.text for document in documents], batch_size=32)
            for document, probabilities in zip(documents, scored, strict=True):
                document.metadata["scores"] = probabilities
                yield document

    def run() -> NDArray[np.float32]:
        documents = (Document(text, str(row)) for row, text in enumerate(bench.texts))
        scored = [document.metadata["scores"] for document in Scorer().run(documents)]
        return np.array(scored, dtype=np.float32)

    return run


CONTENDERS: dict[str, Callable[[Bench], Callable[[], NDArray[np.float32]]]] = {
    "pipeline, batch 1": by_pipeline(1),
    PIPELINE_32: by_pipeline(32),
    "sorted batches of 32": by_length,
    "Ray Data map_batches": by_ray,
    "datatrove step": by_datatrove,
    "engine, fp32": by_engine("fp32"),
    "engine, bf16": by_engine("bf16"),
    "engine, default": by_engine("auto"),
}
NEEDS = {"Ray Data map_batches": "ray", "datatrove step": "datatrove"}


def measure(bench: Bench, names: Sequence[str], rounds: int) -> dict[str, float]:
    """Median seconds of each contender: CPU seconds on a CPU, else of the wall."""
    clock = time.process_time if bench.device == "cpu" else time.perf_counter
    ready = {name: CONTENDERS[name](bench) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    scored: dict[str, NDArray[np.float32]] = {}
    for number in range(rounds):
        for name, run in ready.items():
            # Ray's work is done by another process: its wall is taken, the machine being idle
            watch = time.perf_counter if name in NEEDS else clock
            began = watch()
            scored[name] = run()
            seconds[name].append(watch() - began)
            print(f"round {number + 1}, {name}: {seconds[name][-1]:.1f} s", file=sys.stderr)
    for name, scored_NL in scored.items():  # no figure may hide work left out
        assert scored_NL.shape == scored[names[0]].shape, name
        # not of the root, whose answer was made steep
        assert np.abs(scored_NL - scored[names[0]])[:, 2:].max() < 0.1, name
    return {name: statistics.median(times) for name, times in seconds.items()}


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
    """What products of the model's own shapes reach in half precision, one after the other."""
    config = LonelinessModel.from_pretrained(folder).encoder.config
    dtype = torch.bfloat16 if device == "cpu" else torch.float16
    rows = 4096 if device == "cpu" else 65536
    width, inner = config.hidden_size, config.intermediate_size
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


def show(bench: Bench, seconds: dict[str, float], peak: float, needed: float) -> None:
    """Prints the table."""
    unit = "CPU-s" if bench.device == "cpu" else "s"
    table = Table(
        title=f"{len(bench.texts):,} posts, {bench.tokens:,} tokens; peak {peak:,.0f} GFLOP/s "
        f"= {peak / needed:,.0f} tokens/{unit}"
    )
    for name in ("", f"posts/{unit}", f"tokens/{unit}", "ratio", "of the peak"):
        table.add_column(name, justify="right" if name else "left")
    first = seconds[PIPELINE_32]
    for name, time_s in seconds.items():
        rate = bench.tokens / time_s
        table.add_row(
            name,
            f"{len(bench.texts) / time_s:,.1f}",
            f"{rate:,.0f}",
            f"{first / time_s:.2f}",
            f"{rate * needed / peak:.0%}",
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
        peak, needed = peak_gflops(folder, arguments.device), gflop_per_token(bench)
        seconds = measure(bench, names, arguments.rounds)
        per_token, _ = through_dask(bench, arguments.workers, arguments.copies)
        seconds[f"score through Dask, {arguments.workers} worker(s), wall time"] = (
            bench.tokens / per_token
        )
        show(bench, seconds, max(peak, peak_gflops(folder, arguments.device)), needed)


if __name__ == "__main__":
    main()
