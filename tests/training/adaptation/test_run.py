"""Adaptation runs: what they leave behind, perplexity, resumed runs, refusals."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM

from corpus_lonely.demo.encoder import make_encoder
from corpus_lonely.errors import CorpusLonelyError, OutputError, SettingsError
from corpus_lonely.files import about_folder
from corpus_lonely.model.encoder import load_tokenizer, quiet
from corpus_lonely.progress import Silent
from corpus_lonely.text import text_hash
from corpus_lonely.training.adaptation.building import Sources, build_store
from corpus_lonely.training.adaptation.callback import AdaptationCallback
from corpus_lonely.training.adaptation.masking import IGNORED, MaskedPieces, Masking
from corpus_lonely.training.adaptation.run import adapt_encoder
from corpus_lonely.training.adaptation.settings import AdaptSettings
from corpus_lonely.training.adaptation.tokens import TokenStore
from corpus_lonely.training.settings import TrainSettings
from corpus_lonely.training.train import train_model
from tests.tiny import make_labels, make_tiny_encoder, save_rows, tiny_rows
from tests.training.adaptation.made import (
    Notes,
    made_texts,
    record,
    settings,
    without_dropout,
    write_posts,
)


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_posts(tmp_path_factory.mktemp("posts") / "p.parquet", made_texts(120))


@pytest.fixture(scope="module")
def adapted(posts: Path, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten epochs: enough to tell the two themes apart."""
    out = tmp_path_factory.mktemp("adapted") / "encoder"
    adapt_encoder(settings(posts, tiny_encoder, out, epochs=10, learning_rate=5e-3))
    return out


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def store_of(told: AdaptSettings, folder: Path) -> TokenStore:
    """The tokens of a run, made once more."""
    tokenizer = load_tokenizer(told.encoder)
    return build_store(folder / "store", Sources.open(told), told, tokenizer, Silent())


def words_in(store: TokenStore, tokenizer: Any) -> list[str]:
    sides = (store.train, store.held_out)
    return [tokenizer.decode(side.of(i)) for side in sides for i in range(len(side))]


def test_a_run_learns_and_leaves_a_folder_that_others_take(adapted: Path, posts: Path) -> None:
    report = record(adapted)
    assert (
        report["perplexity"]["after"] < 12 < 40 < report["perplexity"]["before"]
    )  # 5 words a theme
    assert report["posts"] == {
        "read": 120, "trained_on": 108, "held_out": 12, "empty": 0, "excluded_by_id": 0,
        "excluded_by_text": 0, "in_dev": 0, "duplicate": 0, "not_sampled": 0,
    }  # fmt: skip
    files = {path.name: path for path in adapted.iterdir()}
    assert set(files) == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md",
        "adaptation.json", "adaptation.png",
    }  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o644}
    assert [path.name for path in adapted.parent.iterdir()] == ["encoder"]  # tokens are gone too
    card = files["README.md"].read_text()
    assert "no tool of diagnosis" in card
    assert "\nlicense: other  # fill in" in card
    assert f"From {', '.join(report['settings']['inputs'])}. Learnt from" in card
    assert "base_model:" not in card  # its base is a folder here: no hub knows it
    assert f"{report['perplexity']['after']:.3f}" in card
    for name in ("README.md", "config.json", "tokenizer_config.json"):
        assert (
            str(posts.parent.parent.parent) not in files[name].read_text()
        )  # no path of this machine
    measured = [entry for entry in report["history"] if "eval_perplexity" in entry]
    assert (measured[0]["step"], measured[-1]["step"]) == (0, report["steps"] == 70 and 70)
    assert len(measured) > 8
    texts = [text for text in made_texts(120) if len(text) > 20]
    written = "".join(files[name].read_text() for name in files if not name.endswith(("s", "png")))
    assert not [text for text in texts if text in written]


def test_perplexity_is_that_of_a_plain_computation(
    adapted: Path, posts: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    told = settings(posts, tiny_encoder, tmp_path / "unused")
    store = store_of(told, tmp_path)
    masked = MaskedPieces(store.held_out, load_tokenizer(adapted), Masking(0.15, False, 15))
    with quiet():
        model = AutoModelForMaskedLM.from_pretrained(adapted).eval()
    nats: list[float] = []
    for piece in range(len(masked)):
        example = masked[piece, 0]
        ids_1T = torch.from_numpy(example["input_ids"]).long()[None]
        with torch.no_grad():
            logs_TV = torch.log_softmax(model(input_ids=ids_1T).logits[0].double(), dim=-1)
        nats += [
            -float(logs_TV[place, label])
            for place, label in enumerate(example["labels"].tolist())
            if label != IGNORED
        ]
    found = record(adapted)["perplexity"]
    assert len(nats) == found["masked_tokens"] > 12
    assert found["after"] == pytest.approx(math.exp(np.mean(nats)), rel=1e-5)


def test_train_and_adapt_go_on_from_it(
    adapted: Path, posts: Path, tiny_labels: Path, tmp_path: Path
) -> None:
    train = TrainSettings(
        str(tiny_labels), str(adapted), tmp_path / "model", epochs=1, max_tokens=64
    )
    assert 0 <= train_model(train).dev["lonely"]["f1"] <= 1
    notes = Notes()
    report = adapt_encoder(settings(posts, adapted, tmp_path / "more", epochs=1), notes)
    assert report.before == pytest.approx(record(adapted)["perplexity"]["after"])
    assert not [line for line in notes.lines if "saved without" in line]
    assert record(tmp_path / "more")["new_head"] is False


def test_the_same_settings_give_the_same_weights_and_another_seed_others(
    posts: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        adapt_encoder(settings(posts, tiny_encoder, tmp_path / name, epochs=1, seed=seed))
    assert same_weights(tmp_path / "a", tmp_path / "b")
    assert not same_weights(tmp_path / "a", tmp_path / "c")


def test_a_run_interrupted_within_an_epoch_ends_with_the_weights_of_an_undisturbed_one(
    posts: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # dropout draws from the global chance, which a checkpoint keeps
    shutil.copytree(tiny_encoder, tmp_path / "tiny")
    other = {"whole_word_masking": True, "attention_dropout": 0.1, "epochs": 3, "micro_batch": 8}
    whole = settings(posts, tmp_path / "tiny", tmp_path / "whole", **other)
    adapt_encoder(whole)
    steps: list[int] = []
    stops = [10, 17]  # of 7 an epoch
    step_end = AdaptationCallback.on_step_end

    def interrupt(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        steps.append(state.global_step)
        if [state.global_step] == stops[:1]:
            stops.pop(0)
            raise KeyboardInterrupt
        step_end(self, args, state, control, **kwargs)

    monkeypatch.setattr(AdaptationCallback, "on_step_end", interrupt)
    broken = settings(posts, tmp_path / "tiny", tmp_path / "broken", **other)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            adapt_encoder(broken)
        assert not (tmp_path / "broken").exists()
    about = about_folder(tmp_path / "broken")
    (checkpoints,) = (about / "checkpoints").iterdir()
    (checkpoints / "checkpoint-99").mkdir()  # torn, as a kill while writing leaves it
    (about / "checkpoints" / "of-another-run").mkdir()
    monkeypatch.setattr(AdaptationCallback, "on_step_end", step_end)
    monkeypatch.setattr(
        "corpus_lonely.training.adaptation.building.select", None
    )  # the posts are not read again
    notes = Notes()
    adapt_encoder(broken, notes)
    assert steps == [*range(1, 11), *range(10, 18)]
    assert "Going on from checkpoint-16." in notes.lines
    assert same_weights(tmp_path / "whole", tmp_path / "broken")
    found, expected = record(tmp_path / "broken"), record(tmp_path / "whole")
    assert found["perplexity"] == expected["perplexity"]
    assert not about.exists()


def test_a_finished_run_is_not_done_again_and_never_overwritten_unasked(
    posts: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    told = settings(posts, tiny_encoder, tmp_path / "e", epochs=1)
    first = adapt_encoder(told)
    shutil.copytree(posts.parent, tmp_path / "moved")
    again = settings(tmp_path / "moved" / "p.parquet", tiny_encoder, tmp_path / "e", epochs=1)
    assert adapt_encoder(again) == replace(first, already_there=True)
    for other in (
        settings(posts, tiny_encoder, tmp_path / "e", epochs=1, learning_rate=1e-4),
        settings(
            write_posts(tmp_path / "q.parquet", made_texts(50)), tiny_encoder, tmp_path / "e", epochs=1
        ),
        settings(
            posts, make_encoder(["alone cake"] * 5, tmp_path / "other", 7, 32, 2), tmp_path / "e", epochs=1
        ),
    ):  # fmt: skip
        with pytest.raises(OutputError, match="holds an encoder of other settings or posts"):
            adapt_encoder(other)
    before = weights(tmp_path / "e")
    adapt_encoder(settings(posts, tiny_encoder, tmp_path / "e", epochs=1, seed=5, overwrite=True))
    assert any(not torch.equal(before[name], new) for name, new in weights(tmp_path / "e").items())


def test_a_foreign_folder_is_left_alone(posts: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("precious")
    with pytest.raises(OutputError, match="exists and is not empty"):
        adapt_encoder(settings(posts, tiny_encoder, tmp_path / "thesis"))
    with pytest.raises(OutputError, match="was not made by `corpus-lonely adapt`"):
        adapt_encoder(settings(posts, tiny_encoder, tmp_path / "thesis", overwrite=True))
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "precious"


def test_excluded_posts_never_reach_the_store(tiny_encoder: Path, tmp_path: Path) -> None:
    make_labels(tmp_path / "labels", train=30, dev=10)
    dev = tiny_rows(10, seed=1)
    others = made_texts(60, seed=5)
    texts = [*others, *(f"{row['text']} alone alone" for row in dev[:4]), *(row["text"] for row in dev[4:])]  # fmt: skip
    ids = [*(f"t3_zz{i}" for i in range(60)), *(f"t3_{row['unique_id']}" for row in dev[:4]), *(f"t3_yy{i}" for i in range(6))]  # fmt: skip
    path = write_posts(tmp_path / "p.parquet", texts, post_id=ids)
    told = settings(path, tiny_encoder, tmp_path / "e", exclude=(str(tmp_path / "labels"),))
    store = store_of(told, tmp_path)
    posts = store.facts["posts"]
    assert (posts["excluded_by_id"], posts["excluded_by_text"]) == (4, 6)
    found = words_in(store, load_tokenizer(tiny_encoder))
    assert sorted(found) == sorted(others)
    assert not {text_hash(text) for text in found} & Sources.open(told).excluded.texts


def test_what_is_told_of_exclusion(
    posts: Path, tiny_encoder: Path, tiny_labels: Path, tmp_path: Path
) -> None:
    def notes_of(**other: Any) -> str:
        notes = Notes()
        told = settings(posts, tiny_encoder, tmp_path / str(len(other)), epochs=1, **other)
        adapt_encoder(told, notes)
        return "\n".join(line for line in notes.lines if "exclude" in line)

    assert notes_of() == (
        "Note: if these posts hold those you will evaluate on, leave them out with --exclude."
    )
    assert notes_of(exclude=(str(tiny_labels),)) == (
        "Warning: none of the 16 dev and test posts of --exclude was found among the posts, "
        "by id or by text."
    )
    save_rows([{**tiny_rows(1)[0], "text": made_texts(1)[0]}], tmp_path / "found" / "test")
    found = notes_of(exclude=(str(tmp_path / "found"),), max_posts=40)
    assert found == "Left out: 0 posts by id and 1 by text, of 1 in --exclude."


def test_several_inputs_and_posts_to_measure_on(tiny_encoder: Path, tmp_path: Path) -> None:
    labels = make_labels(tmp_path / "labels", train=40, dev=12)
    comments = write_posts(
        tmp_path / "c.parquet", [*made_texts(20, 3), tiny_rows(12, 1)[0]["text"]]
    )
    told = settings(comments, tiny_encoder, tmp_path / "e", dev=str(labels))
    both = AdaptSettings(**{**vars(told), "inputs": (str(comments), str(labels))})
    store = store_of(both, tmp_path)
    assert store.facts["posts"]["in_dev"] == 1
    assert store.facts["posts"]["held_out"] == 0
    assert store.facts["train"]["posts"] == store.facts["posts"]["trained_on"] > 50
    found = words_in(store, load_tokenizer(tiny_encoder))
    assert found[-store.facts["held_out"]["pieces"] :] == [row["text"] for row in tiny_rows(12, 1)]


def test_measuring_takes_a_small_part_of_the_time(
    posts: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    ids = [f"t3_dev{number}" for number in range(100)]
    dev = write_posts(tmp_path / "dev.parquet", made_texts(100, 9), post_id=ids)
    adapt_encoder(settings(posts, tiny_encoder, tmp_path / "e", dev=str(dev)))
    measured = [e["step"] for e in record(tmp_path / "e")["history"] if "eval_perplexity" in e]
    assert measured == [0, 16]


def test_long_posts_are_cut_and_not_lost(tiny_encoder: Path, tmp_path: Path) -> None:
    long = " ".join(made_texts(30, 4))
    path = write_posts(tmp_path / "p.parquet", [long, "alone nobody cake", *made_texts(20, 8)])
    store = store_of(settings(path, tiny_encoder, tmp_path / "e", max_tokens=16), tmp_path)
    assert max(map(len, (store.train.of(i) for i in range(len(store.train))))) <= 14
    assert store.facts["train"]["pieces"] > store.facts["train"]["posts"]
    assert long in " ".join(words_in(store, load_tokenizer(tiny_encoder)))


def test_micro_batches_take_the_same_steps(posts: Path, tmp_path: Path) -> None:
    encoder = without_dropout(make_tiny_encoder(tmp_path / "tiny"))
    for name, micro in (("whole", None), ("micro", 4)):
        adapt_encoder(settings(posts, encoder, tmp_path / name, micro_batch=micro))
    whole, micro_ = (record(tmp_path / name)["history"] for name in ("whole", "micro"))
    for one, other in zip(whole, micro_, strict=True):
        for key in {"loss", "grad_norm", "eval_perplexity"} & one.keys():
            assert other[key] == pytest.approx(one[key], rel=1e-3), key
    # the loss is that of a masked token, whatever the batches: a head from nothing guesses evenly
    assert whole[1]["loss"] == pytest.approx(math.log(whole[0]["eval_perplexity"]), abs=0.1)


def test_the_head_alone(posts: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    report = adapt_encoder(settings(posts, tiny_encoder, tmp_path / "e", head_only=True))
    assert report.after < report.before
    before, after = weights(tiny_encoder), weights(tmp_path / "e")
    kept = {name.removeprefix("bert."): value for name, value in after.items()}
    assert all(torch.equal(value, kept[name]) for name, value in before.items())
    assert set(kept) - set(before) == {name for name in kept if name.startswith("cls.predictions")}
    assert float(after["cls.predictions.bias"].abs().max()) > 0


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"max_tokens": 300}, "--max-tokens must be at most 256 for this bert, got 300"),
        ({"batch_size": 6, "micro_batch": 4}, "--micro-batch must divide the 6 pieces"),
        ({"text_column": "body"}, "has no column 'body'; its columns are post_id, text"),
        ({"encoder": "nowhere/"}, "the encoder cannot be loaded"),
        ({"held_out": 0.0001, "mask_probability": 1e-9}, "--held-out must leave posts long enough"),
    ],
)
def test_refusals_are_one_line(
    posts: Path, tiny_encoder: Path, tmp_path: Path, other: dict[str, Any], problem: str
) -> None:
    told = {**vars(settings(posts, tiny_encoder, tmp_path / "e")), **other}
    with pytest.raises(CorpusLonelyError) as caught:
        adapt_encoder(AdaptSettings(**told))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "e").exists()


def test_nothing_left_to_learn_from(tiny_encoder: Path, tmp_path: Path) -> None:
    path = write_posts(tmp_path / "p.parquet", ["alone", "alone", " "])
    with pytest.raises(CorpusLonelyError) as caught:
        adapt_encoder(settings(path, tiny_encoder, tmp_path / "e"))
    assert str(caught.value) == (
        f"{path}: holds no post to learn from (3 read, 1 held out, 1 empty, 1 duplicate)"
    )


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"held_out": 0}, "--held-out must be above 0 and below 1, got 0"),
        ({"max_posts": 1}, "--max-posts must be at least 2, got 1"),
        ({"mask_probability": 1}, "--mask-probability must be above 0 and below 1, got 1"),
        ({"epochs": 0}, "--epochs must be at least 1, got 0"),
        ({"learning_rate": 0}, "--learning-rate must be above 0, got 0"),
        ({"micro_batch": 0}, "--micro-batch must be at least 1, got 0"),
        ({"seed": 2**32}, r"--seed must be from 0 to 2\^32 - 1"),
    ],
)
def test_settings_name_key_rule_and_value(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        settings(Path("p"), Path("e"), Path("o"), **wrong)


def test_a_batch_is_shared_out_among_processes() -> None:
    told = settings(Path("p"), Path("e"), Path("o"))
    assert [told.per_process(count) for count in (1, 2, 16)] == [(16, 1), (8, 1), (1, 1)]
    micro = settings(Path("p"), Path("e"), Path("o"), micro_batch=2)
    assert micro.per_process(2) == (2, 4)
    with pytest.raises(SettingsError, match="must be a multiple of the 3 processes, got 16"):
        told.per_process(3)
    with pytest.raises(SettingsError, match="must be a multiple of the 32 processes, got 16"):
        told.per_process(32)
