"""The corpus against the truth it was drawn from, counted by plain loops."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from math import sqrt

import pytest

from corpus_lonely.demo.corpus import Post, make_posts
from corpus_lonely.demo.truth import planted
from corpus_lonely.taxonomy import loneliness


def ratio_and_error(pairs: list[tuple[str, float, float]]) -> tuple[float, float]:
    """Sum of values over sum of weights, and its standard error with authors as clusters."""
    tops: dict[str, float] = defaultdict(float)
    bottoms: dict[str, float] = defaultdict(float)
    for author, value, weight in pairs:
        tops[author] += value
        bottoms[author] += weight
    total = sum(bottoms.values())
    ratio = sum(tops.values()) / total
    spread = sum((tops[author] - ratio * bottoms[author]) ** 2 for author in tops)
    return ratio, sqrt(spread) / total


@pytest.mark.parametrize("after", [False, True])
def test_prevalence_is_the_truth_within_sampling_error(posts: list[Post], after: bool) -> None:
    truth = planted()
    pairs = [
        (post.author.name, float(post.latent.lonely), 1.0)
        for post in posts
        if truth.is_after(post.created_at) == after
    ]
    mean, error = ratio_and_error(pairs)
    assert error < 0.03
    assert abs(mean - truth.means(after)["lonely"]) < 4 * error


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("category", [category.name for category in loneliness().categories])
def test_labels_among_lonely_posts_are_the_truth(
    posts: list[Post], category: str, after: bool
) -> None:
    truth = planted()
    group = loneliness().category_of(category)
    chosen = [
        post for post in posts if post.latent.lonely and truth.is_after(post.created_at) == after
    ]
    for index, column in enumerate(group.columns):
        pairs = [
            (post.author.name, float(post.latent.shares[category][index]), 1.0) for post in chosen
        ]
        mean, error = ratio_and_error(pairs)
        assert error < 0.03
        assert abs(mean - truth.means(after)[column]) < 4 * error, column


def test_every_shares_vector_is_a_distribution(posts: list[Post]) -> None:
    for post in posts[:500]:
        if not post.latent.lonely:
            assert post.latent.shares == {}
        for shares in post.latent.shares.values():
            assert shares.min() >= 0
            assert shares.sum() == pytest.approx(1)


def test_authors_are_clusters_of_very_different_size(posts: list[Post]) -> None:
    counts = Counter(post.author.name for post in posts)
    sizes = sorted(counts.values(), reverse=True)
    assert len(sizes) > 500
    assert sum(sizes[: len(sizes) // 10]) > 0.3 * len(posts)
    both = {
        author
        for author in counts
        if len({planted().is_after(p.created_at) for p in posts if p.author.name == author}) == 2
    }
    assert len(both) > 200


def test_the_corpus_spans_24_months_around_the_cut(posts: list[Post]) -> None:
    months = {f"{post.created_at:%Y-%m}" for post in posts}
    assert len(months) == 24
    assert (min(months), max(months)) == ("2019-03", "2021-02")
    assert [post.created_at for post in posts] == sorted(post.created_at for post in posts)
    assert len({post.post_id for post in posts}) == len(posts)


def test_another_cut_moves_the_window() -> None:
    posts = make_posts(1, date(2018, 1, 1), submissions=200, comments=100, authors=30)
    assert posts[0].created_at >= datetime(2017, 1, 1, tzinfo=UTC)
    assert posts[-1].created_at < datetime(2019, 1, 1, tzinfo=UTC)


def test_the_same_seed_is_the_same_corpus_and_another_is_not() -> None:
    corpora = [make_posts(seed, submissions=60, comments=30, authors=12) for seed in (1, 1, 2)]
    texts = [[(post.post_id, post.title, post.body) for post in corpus] for corpus in corpora]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    kinds = Counter(post.kind for post in corpora[0])
    assert kinds == {"submission": 60, "comment": 30}
