"""Posts as pieces on disk: nothing lost, nothing twice, whole or not there."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from corpus_lonely.errors import SettingsError
from corpus_lonely.model.encoder import load_tokenizer
from corpus_lonely.training.adaptation.tokens import (
    Frame,
    Pieces,
    StoreWriter,
    TokenStore,
    check_words,
    cuts,
    room_in,
    token_ids,
)


@given(st.integers(1, 2000), st.integers(1, 600))
def test_pieces_cover_a_post_once_and_fit(length: int, room: int) -> None:
    places = cuts(length, room)
    sizes = np.diff(places)
    assert (places[0], places[-1]) == (0, length)
    assert 1 <= sizes.min() <= sizes.max() <= room
    assert len(sizes) == -(-length // room)
    assert sizes.max() - sizes.min() <= 1


@hypothesis_settings(deadline=None, max_examples=25)
@given(posts=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=50), min_size=1, max_size=9))
def test_the_store_gives_back_what_was_added(
    tmp_path_factory: pytest.TempPathFactory, posts: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("stores") / "store"
    writer = StoreWriter(folder, room=7)
    writer.held_out.add(np.array([5], np.int32))
    for post in posts:
        writer.train.add(np.array(post, np.int32))
    assert TokenStore.open(folder) is None  # not there before it is whole
    store = writer.finish({"read": 3})
    assert store.train.ids_K.tolist() == [token for post in posts for token in post]
    pieces = [store.train.of(piece).tolist() for piece in range(len(store.train))]
    assert [token for piece in pieces for token in piece] == store.train.ids_K.tolist()
    assert max(map(len, pieces)) <= 7
    ends = set(np.cumsum([len(post) for post in posts]).tolist())
    assert ends <= set(store.train.bounds.tolist())  # no piece holds two posts
    assert store.train.lengths(np.arange(len(pieces))).tolist() == [len(piece) for piece in pieces]
    reopened = TokenStore.open(folder)
    assert reopened is not None
    assert reopened.facts == {"read": 3}
    assert (folder.stat().st_mode & 0o777) == 0o700


def test_a_store_that_was_not_finished_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".store.tmp" / "train").mkdir(parents=True)  # as a kill leaves it
    with suppress(KeyboardInterrupt), StoreWriter(tmp_path / "store", room=7) as writer:
        writer.train.add(np.array([1], np.int32))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with StoreWriter(tmp_path / "store", room=7) as writer:
        writer.train.add(np.array([2], np.int32))
        writer.held_out.add(np.array([3], np.int32))
        assert writer.finish({}).train.ids_K.tolist() == [2]
    assert list(tmp_path.iterdir()) == [tmp_path / "store"]


def test_ids_are_those_of_the_tokenizer_uncut(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(tiny_encoder)
    texts = ["alone " * 300, "nobody alone", ""]
    found = list(token_ids(tokenizer, texts, words=False))
    assert [ids.tolist() for ids in found] == [
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts
    ]
    assert Frame.of(tokenizer) == Frame((tokenizer.cls_token_id,), (tokenizer.sep_token_id,))
    assert room_in(Frame.of(tokenizer), 64) == 62


def test_tokens_that_go_on_with_a_word_are_marked(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(tiny_encoder)
    text = "alonealone nobody's empty[MASK][MASK]"
    (ids_T,) = token_ids(tokenizer, [text], words=True)
    plain_T = np.where(ids_T < 0, ~ids_T, ids_T)
    assert plain_T.tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]
    tokens = tokenizer.convert_ids_to_tokens(plain_T.tolist())
    assert [token.startswith("##") for token in tokens] == (ids_T < 0).tolist()
    assert (ids_T < 0).any()


def wrapped(backend: Backend) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=backend, mask_token="[MASK]", unk_token="[UNK]")


def test_words_of_other_tokenizers() -> None:
    letters = {sign: place for place, sign in enumerate(["[MASK]", "[UNK]", *"abcdefghijklmnopqrstuvwxyzĠ▁"])}  # fmt: skip
    for splitter in (pre_tokenizers.ByteLevel(), pre_tokenizers.Metaspace()):
        backend = Backend(models.BPE(letters, [], unk_token="[UNK]"))
        backend.pre_tokenizer = splitter
        check_words(wrapped(backend))
        (ids_T,) = token_ids(wrapped(backend), ["ab cd"], words=True)
        assert (ids_T >= 0).tolist() == [True, False, False, True, False, False]
    with pytest.raises(
        SettingsError, match="--whole-word-masking needs a tokenizer that tells words"
    ):
        check_words(wrapped(Backend(models.BPE(letters, [], unk_token="[UNK]"))))


def test_a_frame_leaves_room() -> None:
    with pytest.raises(SettingsError, match="--max-tokens must be above 2, got 2"):
        room_in(Frame((1,), (2,)), 2)


def test_pieces_are_mapped_and_not_read(tmp_path: Path) -> None:
    np.arange(10, dtype=np.int32).tofile(tmp_path / "ids.bin")
    np.array([0, 4, 10]).tofile(tmp_path / "bounds.bin")
    pieces = Pieces.open(tmp_path)
    assert isinstance(pieces.ids_K, np.memmap)
    assert (len(pieces), pieces.of(1).tolist()) == (2, [4, 5, 6, 7, 8, 9])
