"""Tokens and batches."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corpus_lonely.inference import batching
from corpus_lonely.inference.batching import pad, padded_length, plan_batches, tokenise
from corpus_lonely.model.encoder import find_encoder, load_tokenizer


@given(st.lists(st.integers(1, 512), max_size=60), st.integers(512, 4096))
def test_batches_hold_every_post_once_and_keep_the_budget(lengths: list[int], budget: int) -> None:
    seen: list[int] = []
    for posts in plan_batches(np.array(lengths, dtype=np.int64), budget):
        seen += posts.tolist()
        assert len(posts) == 1 or len(posts) * max(lengths[post] for post in posts) <= budget
    assert sorted(seen) == list(range(len(lengths)))


def test_the_longest_posts_come_first() -> None:
    batches = plan_batches(np.array([5, 500, 30, 400]), 512)
    assert [posts.tolist() for posts in batches] == [[1], [3], [2, 0]]


@pytest.mark.parametrize(
    ("length", "padded"), [(1, 16), (16, 16), (17, 32), (500, 510), (510, 510)]
)
def test_padded_length_is_a_multiple_but_no_more_than_the_model_reads(
    length: int, padded: int
) -> None:
    assert padded_length(length, 510) == padded


def test_pad() -> None:
    ids, mask = pad([[2, 9, 3], [2, 3]], 4, pad_id=7)
    assert ids.tolist() == [[2, 9, 3, 7], [2, 3, 7, 7]]
    assert mask.tolist() == [[1, 1, 1, 0], [1, 1, 0, 0]]
    assert ids.dtype == torch.int64


def test_tokenise_cuts_and_tells(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(tiny_encoder)
    tokens = tokenise(tokenizer, ["alone", "alone " * 50], max_tokens=12)
    assert tokens.lengths.tolist() == [3, 12]
    assert tokens.truncated.tolist() == [False, True]
    # both ends are the special ones, also where the text is cut
    assert [tokens.of(1)[0], tokens.of(1)[-1]] == [tokens.of(0)[0], tokens.of(0)[-1]]


def test_tokens_of_each_post_are_those_of_the_tokenizer(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(tiny_encoder)
    texts = ["alone", "lonely cake", "football " * 9] * 2000  # more than are tokenised at once
    tokens = tokenise(tokenizer, texts, max_tokens=8)
    expected = tokenizer(texts[:3], truncation=True, max_length=8)["input_ids"]
    assert [tokens.of(post).tolist() for post in range(6000)] == expected * 2000
    assert tokenise(tokenizer, [], max_tokens=8).lengths.tolist() == []


def test_minilm_is_not_cut_and_padded_to_128() -> None:
    tokenizer = load_tokenizer(find_encoder("minilm"))
    tokens = tokenise(tokenizer, ["one", "word " * 300], max_tokens=512)
    assert tokens.lengths.tolist() == [3, 302]
    assert tokens.truncated.tolist() == [False, False]


def test_of_a_long_text_its_beginning_and_its_end_can_be_kept(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(tiny_encoder)
    words = ["alone", "lonely", "nobody", "isolated", "empty", "cake", "music"]
    text = " ".join(words * 9)
    whole = tokenise(tokenizer, [text], max_tokens=512).of(0).tolist()
    assert len(whole) == 65
    tokens = tokenise(tokenizer, ["alone", text, text], max_tokens=18, cut="head-tail")
    assert tokens.truncated.tolist() == [False, True, True]
    expected = [
        *whole[:5],
        *whole[-13:],
    ]  # a quarter of 16 words and the rest, between the special ones
    assert tokens.of(1).tolist() == tokens.of(2).tolist() == expected
    assert tokens.of(0).tolist() == tokenise(tokenizer, ["alone"], 18).of(0).tolist()
    exact = tokenise(tokenizer, [text], max_tokens=65, cut="head-tail")
    assert (exact.of(0).tolist(), exact.truncated.tolist()) == (whole, [False])


@pytest.mark.parametrize("cut", ["head", "head-tail"])
def test_long_texts_are_tokenised_few_at_a_time_and_alike(
    tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    texts = ["alone", "lonely cake " * 30, "", "football " * 90, "alone " * 5] * 20
    tokenizer = load_tokenizer(tiny_encoder)
    together = tokenise(tokenizer, texts, 12, cut)
    monkeypatch.setattr(batching, "_CHARACTERS_AT_ONCE", 500)
    groups = list(batching._groups(texts))
    assert [text for group in groups for text in group] == texts
    assert all(len(group) == 1 or sum(map(len, group)) <= 500 for group in groups)
    assert len(groups) < len(texts)
    apart = tokenise(tokenizer, texts, 12, cut)
    assert apart.ids.tolist() == together.ids.tolist()
    assert apart.bounds.tolist() == together.bounds.tolist()
    assert apart.truncated.tolist() == together.truncated.tolist()
