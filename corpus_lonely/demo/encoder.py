"""A small encoder with random weights and a vocabulary of its own: the demo's, for no hub is reached."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from corpus_lonely.model.encoder import quiet

_MOST_PIECES = 4000
_PAD, _UNK, _CLS, _SEP, _MASK = _SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def make_encoder(
    texts: Iterable[str], folder: Path, seed: int = 0, hidden: int = 256, layers: int = 0
) -> Path:
    """Writes a BERT of `layers` layers whose WordPiece vocabulary is that of `texts`.

    It knows no language: what it can do, it learns from the labelled posts alone. Without attention
    layers it is a bag of word vectors, which learns from a few thousand posts in a minute; two layers
    from nothing had not learnt the categories after ten.
    """
    tokenizer = _word_pieces(texts)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=4 * hidden,
        max_position_embeddings=256,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    with quiet():
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _word_pieces(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    pieces = Tokenizer(models.WordPiece(_vocabulary(texts), unk_token=_UNK))
    pieces.normalizer = normalizers.BertNormalizer()
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pieces.decoder = decoders.WordPiece()
    ids = [(name, pieces.token_to_id(name)) for name in (_CLS, _SEP)]
    pieces.post_processor = processors.TemplateProcessing(
        single=f"{_CLS} $A {_SEP}", special_tokens=ids
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        pad_token=_PAD,
        unk_token=_UNK,
        cls_token=_CLS,
        sep_token=_SEP,
        mask_token=_MASK,
    )


def _vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Letters, their continuations and the words read three times or more, most frequent first.

    Counted here, for the library's trainer breaks ties another way in each process.
    """
    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = Counter(
        word
        for text in texts
        for word, _place in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    )
    letters = sorted({letter for word in words for letter in word})
    frequent = sorted(
        (word for word, count in words.items() if count >= 3 and len(word) > 1),
        key=lambda word: (-words[word], word),
    )
    pieces = [*_SPECIAL, *letters, *(f"##{letter}" for letter in letters), *frequent]
    return {piece: number for number, piece in enumerate(pieces[:_MOST_PIECES])}
