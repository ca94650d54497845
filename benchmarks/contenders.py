"""The contenders of `score.py`: the same posts to the same probabilities, each in its own way.

Ray Data and datatrove leave batching to their user, so they are given the pipeline of their documentation.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertConfig, Pipeline

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
