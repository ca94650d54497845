"""The phrase banks and the posts made of them."""

import re
from statistics import median

import numpy as np

from corpus_lonely.demo.corpus import Post
from corpus_lonely.demo.language import compose, draw_style, phrase_banks
from corpus_lonely.demo.truth import planted
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.text import join_post


def words(post: Post) -> list[str]:
    return re.findall(r"[a-z']+", join_post(post.title, post.body).lower())


def test_every_label_has_phrases_and_every_slot_a_bank() -> None:
    banks = phrase_banks()
    for category in loneliness().categories:
        assert set(banks[category.name]) == set(category.labels)
    phrases = [p for section in banks.values() for bank in section.values() for p in bank]
    slots = {slot for phrase in phrases for slot in re.findall(r"\{(\w+)\}", phrase)}
    assert slots <= set(banks["slots"])
    assert 300 <= len(set(phrases)) <= 520
    for section, content in banks.items():
        for name, bank in content.items():
            assert len(bank) == len(set(bank)), f"{section}.{name}"


def test_length_is_that_of_posts(posts: list[Post]) -> None:
    lengths = [len(words(post)) for post in posts if post.kind == "submission"]
    assert 50 <= median(lengths) <= 80
    assert min(lengths) >= 12
    assert max(lengths) <= 240
    comments = [len(words(post)) for post in posts if post.kind == "comment"]
    assert median(comments) < median(lengths)


def test_the_vocabulary_is_small_enough_to_learn(posts: list[Post]) -> None:
    vocabulary = {word for post in posts for word in words(post)}
    assert 500 < len(vocabulary) < 3000


def test_no_slot_is_left_open(posts: list[Post]) -> None:
    assert not [post for post in posts if "{" in post.title + post.body]


def test_words_of_loneliness_stand_in_both_kinds_of_posts(posts: list[Post]) -> None:
    for word in phrase_banks()["slots"]["alone"]:
        for lonely in (False, True):
            chosen = [post for post in posts if post.latent.lonely == lonely]
            holding = sum(word in post.body.lower() for post in chosen)
            assert holding > 0.01 * len(chosen), (word, lonely)


def test_pandemic_talk_is_of_the_time_after(posts: list[Post]) -> None:
    phrase = "we work from home since the lockdown"
    said = [planted().is_after(post.created_at) for post in posts if phrase in post.body.lower()]
    assert said
    assert all(said)


def test_an_author_keeps_a_hand(posts: list[Post]) -> None:
    for post in posts[:300]:
        if post.author.style.lower_case:
            assert post.body == post.body.lower()
        if post.author.style.drops_apostrophes:
            assert "'" not in post.body


def test_a_label_is_told_by_its_own_phrases(posts: list[Post]) -> None:
    """Where a post's context is mostly physical, a physical phrase is there far more often."""
    phrase = "everybody i know lives hundreds of miles away"
    shares = {True: [0, 0], False: [0, 0]}
    for post in posts:
        if post.latent.lonely:
            counted = shares[bool(post.latent.shares["context"].argmax() == 1)]
            counted[0] += phrase in post.body.lower()
            counted[1] += 1
    assert shares[True][0] / shares[True][1] > 5 * shares[False][0] / shares[False][1]


def test_composing_is_the_generators_alone(posts: list[Post]) -> None:
    style = draw_style(np.random.default_rng(1))
    twice = [compose(np.random.default_rng(5), posts[0].latent, style, False) for _ in range(2)]
    assert twice[0] == twice[1]
