"""A tiny model with random weights, and posts of made-up words."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, PreTrainedTokenizerFast

from corpus_lonely.model.network import LonelinessConfig, LonelinessModel

WORDS = [f"{a}{b}" for a in ("ba", "do", "fi", "ku", "le", "mo", "na") for b in ("ra", "si", "to")]


def make_model(folder: Path, hidden: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """A model folder of random weights, whose scores differ from text to text."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    tokenizer = Tokenizer(WordLevel({name: i for i, name in enumerate(names)}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    encoder = BertConfig(
        vocab_size=len(names),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=4 * hidden,
        max_position_embeddings=128,
        initializer_range=0.3,
    )
    torch.manual_seed(seed)
    config = LonelinessConfig(
        encoder_config=encoder.to_dict(), norm="none", head_size=32, max_tokens=64
    )
    model = LonelinessModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(folder)
    return folder


def make_posts(rows: int, seed: int = 0, longest: int = 90) -> pa.Table:
    """A posts table; every fiftieth text is null or blank."""
    dice = random.Random(seed)
    texts: list[str | None] = [
        " ".join(dice.choices(WORDS, k=dice.randint(1, longest))) for _ in range(rows)
    ]
    for row in range(0, rows, 50):
        texts[row] = None if row % 100 else " \n\u200b "
    return pa.table(
        {
            "post_id": [f"t3_{seed}_{row}" for row in range(rows)],
            "subreddit": ["lonely" if row % 3 else "offmychest" for row in range(rows)],
            "text": texts,
            "score": pa.array(range(rows), pa.int64()),
        }
    )


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's folder."""
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another tiny model's folder."""
    return make_model(tmp_path_factory.mktemp("models") / "other", seed=1)


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """A file of 1,000 posts in row groups of 300."""
    path = tmp_path / "posts.parquet"
    pq.write_table(make_posts(1000), path, row_group_size=300)
    return path
