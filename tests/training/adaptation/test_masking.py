"""What is hidden of a piece, and what is to be guessed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from corpus_lonely.model.encoder import load_tokenizer
from corpus_lonely.training.adaptation.masking import IGNORED, MaskedPieces, Masking, Padder
from corpus_lonely.training.adaptation.tokens import Pieces, cuts, token_ids
from tests.training.adaptation.made import made_texts


def masked(encoder: Path, texts: list[str], room: int = 62, **other: object) -> MaskedPieces:
    told = {"probability": 0.15, "whole_words": False, "seed": 0, **other}
    masking = Masking(**told)  # type: ignore[arg-type]
    tokenizer = load_tokenizer(encoder)
    ids = list(token_ids(tokenizer, texts, masking.whole_words))
    sizes = np.concatenate([np.diff(cuts(len(ids_T), room)) for ids_T in ids])
    pieces = Pieces(np.concatenate(ids), np.concatenate([[0], np.cumsum(sizes)]))
    return MaskedPieces(pieces, tokenizer, masking)


def test_a_share_of_tokens_is_hidden_and_never_a_special_one(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(tiny_encoder)
    data = masked(tiny_encoder, [f"{text} [SEP] ☃" for text in made_texts(600)])
    parts = [(data[piece, 0]["input_ids"], data[piece, 0]["labels"]) for piece in range(len(data))]
    ids, labels = (np.concatenate(side) for side in zip(*parts, strict=True))
    plain = np.concatenate([data._framed(data.pieces.of(piece)) for piece in range(len(data))])
    chosen = labels != IGNORED
    special = np.isin(plain, tokenizer.all_special_ids)  # the unknown snowman among them
    assert (plain == tokenizer.unk_token_id).any()
    assert not (chosen & special).any()
    assert chosen.sum() / (~special).sum() == pytest.approx(0.15, abs=0.01)
    assert (labels[chosen] == plain[chosen]).all()
    assert (ids[~chosen] == plain[~chosen]).all()
    assert (ids[chosen] == tokenizer.mask_token_id).mean() == pytest.approx(0.8, abs=0.03)
    assert (ids[chosen] == plain[chosen]).mean() == pytest.approx(0.1, abs=0.03)


def test_masks_hang_on_seed_epoch_and_piece_alone(tiny_encoder: Path) -> None:
    texts = made_texts(8)
    data = masked(tiny_encoder, texts)
    first = [data[piece, 1]["labels"].tolist() for piece in range(8)]
    torch.manual_seed(99)
    torch.rand(3)
    again = masked(tiny_encoder, texts)
    assert [again[piece, 1]["labels"].tolist() for piece in reversed(range(8))][::-1] == first
    assert [data[piece, 2]["labels"].tolist() for piece in range(8)] != first
    other = masked(tiny_encoder, texts, seed=1)
    assert [other[piece, 1]["labels"].tolist() for piece in range(8)] != first


def test_words_are_hidden_whole(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(tiny_encoder)
    texts = ["alonealone nobody's emptier gardener, musical " * 6] * 40
    data = masked(tiny_encoder, texts, room=61, whole_words=True)  # cuts fall within words too
    words = hidden = 0
    for piece in range(len(data)):
        stored_T = data.pieces.of(piece)
        example = data[piece, 0]
        chosen_T = (example["labels"] != IGNORED)[1:-1]
        goes_on_T = stored_T < 0
        assert (chosen_T[1:] == chosen_T[:-1])[goes_on_T[1:]].all()
        assert (example["input_ids"][1:-1][chosen_T] == tokenizer.mask_token_id).all()
        begins_T = ~goes_on_T
        begins_T[0] = True
        begins_T &= stored_T != tokenizer.unk_token_id  # there is nothing to guess
        words += int(begins_T.sum())
        hidden += int((begins_T & chosen_T).sum())
    assert hidden / words == pytest.approx(0.15, abs=0.02)
    # words side by side without a space are words of their own
    alone = masked(tiny_encoder, ["garden,garden,garden"] * 50, whole_words=True)
    assert any(0 < (alone[piece, 0]["labels"] != IGNORED).sum() < 5 for piece in range(len(alone)))


def test_batches_are_padded_to_the_longest(tiny_encoder: Path) -> None:
    data = masked(tiny_encoder, ["alone", "nobody " * 20])
    batch = Padder(0, 64)([data[0, 0], data[1, 0]])
    assert {name: tuple(value.shape) for name, value in batch.items()} == dict.fromkeys(
        ("input_ids", "attention_mask", "labels"), (2, 32)
    )
    assert batch["attention_mask"].sum(dim=1).tolist() == [3, 22]
    assert (batch["labels"][0, 3:] == IGNORED).all()
    assert Padder(0, 24)([data[1, 0]])["input_ids"].shape == (1, 24)
