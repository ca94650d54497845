"""From latent labels to a post: sentences drawn from phrase banks, cues among everyday talk."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from corpus_lonely.demo.truth import Shares, planted
from corpus_lonely.taxonomy import loneliness

Banks = dict[str, dict[str, list[str]]]

_SLOT = re.compile(r"\{(\w+)\}")
# who, where and what stay the same through one post; the rest changes from sentence to sentence
_STEADY = frozenset({"name", "city", "hobby", "course", "job"})
_TOPICS = ("hobbies", "school", "work", "home", "relationships", "errands")
_MEDIAN_WORDS, _SPREAD, _LEAST, _MOST = 60, 0.55, 15, 190
_SECOND_LABEL_SHOWS = 0.25
"""The share from which a post's second label may have a sentence of its own."""


@dataclass(frozen=True)
class Latent:
    """What a post is before it is words."""

    lonely: bool
    shares: dict[str, Shares]
    """For each category the distribution over its labels; empty for a post that is not lonely."""


@dataclass(frozen=True)
class Style:
    """An author's hand."""

    lower_case: bool
    drops_apostrophes: bool
    paragraphs: bool
    topics: tuple[str, str]
    """What the author mostly writes about."""


@cache
def phrase_banks() -> Banks:
    """The phrase banks shipped with the package, bank by section."""
    path = files("corpus_lonely.demo") / "phrases.toml"
    banks: Banks = tomllib.loads(path.read_text("utf-8"))
    return banks


def draw_style(rng: np.random.Generator) -> Style:
    """An author's hand, at random."""
    first, second = rng.choice(len(_TOPICS), 2, replace=False)
    return Style(
        lower_case=bool(rng.random() < 0.15),
        drops_apostrophes=bool(rng.random() < 0.15),
        paragraphs=bool(rng.random() < 0.4),
        topics=(_TOPICS[first], _TOPICS[second]),
    )


def compose(
    rng: np.random.Generator, latent: Latent, style: Style, after: bool, scale: float = 1.0
) -> tuple[str, str]:
    """Title and body of a post, 15 to about 200 words, in a hand.

    after: whether the post is of the time after the cut, when everyday talk changes a little.
    scale: of the median length of 60 words.
    """
    return _Writer(rng, style, after).write(latent, scale)


class _Writer:
    """Draws the sentences of one post."""

    def __init__(self, rng: np.random.Generator, style: Style, after: bool) -> None:
        self._rng, self._style, self._after = rng, style, after
        self._banks = phrase_banks()
        self._steady: dict[str, str] = {}

    def write(self, latent: Latent, scale: float) -> tuple[str, str]:
        words = np.exp(self._rng.normal(np.log(_MEDIAN_WORDS * scale), _SPREAD))
        target = float(np.clip(words, _LEAST, _MOST))
        core = self._lonely(latent, target) if latent.lonely else self._content(target)
        body = self._fill(core, target)
        title = self._title(latent.lonely)
        return self._in_hand(title), self._in_hand(self._join(body))

    def _lonely(self, latent: Latent, target: float) -> list[str]:
        said = self._statement()
        cues = [self._cue(name, shares) for name, shares in latent.shares.items()]
        more = [cue for cue in cues if cue and self._chance(0.92)]
        if self._chance(0.2):
            more.append(self._statement())
        if self._chance(0.45):
            more.append(self._draw("faint", "any"))
        if self._chance(0.45):
            more.append(self._draw("lonely", "hedged"))
        more += [self._second_cue(name, shares) for name, shares in latent.shares.items()]
        return _until(target, [said, *self._mixed([sentence for sentence in more if sentence])])

    def _statement(self) -> str:
        # now and then a post is lonely between the lines alone
        place = int(np.searchsorted((0.55, 0.93), self._rng.random()))
        section, bank = (("lonely", "outright"), ("lonely", "shown"), ("faint", "any"))[place]
        return self._draw(section, bank)

    def _cue(self, category: str, shares: Shares) -> str:
        return self._label(category, int(shares.argmax()))

    def _second_cue(self, category: str, shares: Shares) -> str:
        second = int(np.argsort(shares)[-2])
        if shares[second] < _SECOND_LABEL_SHOWS or self._chance(0.4):
            return ""
        return self._label(category, second)

    def _label(self, category: str, index: int) -> str:
        return self._draw(category, loneliness().category_of(category).labels[index])

    def _content(self, target: float) -> list[str]:
        chances = [
            (0.60, self._trap),
            (0.20, self._trap),
            (0.30, lambda: self._draw("traps", "settled")),
            (0.30, lambda: self._draw("faint", "any")),
            (0.65, lambda: self._any_of("interaction")),
            (0.50, lambda: self._any_of("interpersonal")),
            (0.50, lambda: self._any_of("context")),
            (0.50, lambda: self._any_of("duration")),
        ]
        return _until(target, self._mixed([draw() for odds, draw in chances if self._chance(odds)]))

    def _trap(self) -> str:
        return self._draw("traps", ("negated", "attributed", "past")[int(self._rng.integers(3))])

    def _fill(self, core: list[str], target: float) -> list[str]:
        """Everyday sentences around the core, up to the length that the post should have."""
        sentences = list(core)
        while _words(sentences) < target:
            place = int(self._rng.integers(len(sentences) + 1))
            sentences.insert(place, self._everyday())
        if self._chance(0.4):
            sentences.insert(0, self._draw("openers", "any"))
        if self._chance(0.3):
            sentences.append(self._draw("closers", "any"))
        return sentences

    def _everyday(self) -> str:
        if self._after and self._chance(0.08):
            return self._draw("pandemic", "any")
        topics = self._style.topics if self._chance(0.6) else _TOPICS
        return self._draw("everyday", topics[int(self._rng.integers(len(topics)))])

    def _title(self, lonely: bool) -> str:
        odds = (0.20, 0.50, 0.25, 0.05) if lonely else (0.04, 0.46, 0.35, 0.15)
        kind = int(np.searchsorted(np.cumsum(odds), self._rng.random()))
        return self._draw("titles", ("lonely", "open", "plain", "trap")[min(kind, 3)])

    def _draw(self, section: str, bank: str) -> str:
        filled = _SLOT.sub(self._slot, self._pick(self._banks[section][bank]))
        return filled[0].upper() + filled[1:]

    def _any_of(self, category: str) -> str:
        # as often as lonely posts have them: a label's share then does not move with prevalence
        # through posts that a model takes for lonely
        bounds = _bounds(category)
        return self._label(category, int(np.searchsorted(bounds, self._rng.random(), "right")))

    def _slot(self, match: re.Match[str]) -> str:
        name = match[1]
        value = self._pick(self._banks["slots"][name])
        return self._steady.setdefault(name, value) if name in _STEADY else value

    def _pick(self, bank: list[str]) -> str:
        return bank[int(self._rng.integers(len(bank)))]

    def _mixed(self, sentences: list[str]) -> list[str]:
        return [sentences[index] for index in self._rng.permutation(len(sentences))]

    def _chance(self, odds: float) -> bool:
        return bool(self._rng.random() < odds)

    def _join(self, sentences: list[str]) -> str:
        if not self._style.paragraphs or len(sentences) < 5:
            return " ".join(sentences)
        half = len(sentences) // 2
        return " ".join(sentences[:half]) + "\n\n" + " ".join(sentences[half:])

    def _in_hand(self, text: str) -> str:
        if self._style.lower_case:
            text = text.lower()
        return text.replace("'", "") if self._style.drops_apostrophes else text


@cache
def _bounds(category: str) -> Shares:
    """The cumulative shares of a category's labels, both periods taken together, without the last 1."""
    group, truth = loneliness().category_of(category), planted()
    bounds: Shares = np.cumsum(truth.distribution(group, False) + truth.distribution(group, True))
    bounds /= bounds[-1]
    return bounds[:-1]


def _words(sentences: list[str]) -> int:
    return sum(len(sentence.split()) for sentence in sentences)


def _until(target: float, sentences: list[str]) -> list[str]:
    """The first sentences up to `target` words, one at least where there is one."""
    kept: list[str] = []
    for sentence in sentences:
        if kept and _words(kept) >= target:
            break
        kept.append(sentence)
    return kept
