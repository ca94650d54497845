"""Requests that are made again: after a 429, a 5xx or a broken connection, later and later."""

import math
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import prawcore
import requests

from corpus_lonely.errors import CrawlError, SettingsError

VARIABLE = "CORPUS_LONELY_BACKOFF_S"
"""The environment variable with the first wait in seconds, 1 by default; the others grow with it."""
TRIES = 12
"""With a first wait of 1 s these last 9 to 18 minutes."""
_LONGEST = 300
"""Times the first wait."""
_WORTH_TELLING_S = 5.0
_AGAIN = frozenset({408, 429})
_BROKEN = (
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ConnectionError,
    requests.exceptions.ContentDecodingError,
    requests.exceptions.Timeout,
)


class NoAnswerError(CrawlError):
    """Reddit did not answer one request, though it was made again and again."""


def first_wait_s() -> float:
    """What VARIABLE says; SettingsError when that is no time."""
    told = os.environ.get(VARIABLE, "1")
    try:
        seconds = float(told)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise SettingsError(f"{VARIABLE} must be a number of seconds, got {told}")
    return seconds


@dataclass
class Patience:
    """How long to wait before a request is made again, and who is told."""

    unit: float = field(default_factory=first_wait_s)
    """Seconds of the first wait."""
    tell: Callable[[str], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep
    requests: int = 0
    """Made so far, with those that were made again."""
    repeated: int = 0
    status: int = 0
    """Of the last answer that was handed on."""

    def wait(self, attempt: int, asked: float | None, why: str) -> None:
        """Sleeps: as long as Reddit asked, else from half to all of a time that doubles."""
        backoff = self.unit * min(2.0**attempt, _LONGEST)
        # many clients that fail together shall not come back together
        pause = backoff * random.uniform(0.5, 1)  # noqa: S311
        if asked is not None:
            pause += asked
        if pause >= _WORTH_TELLING_S:
            self.tell(f"{why}; asking again in {pause:,.0f} s")
        self.repeated += 1
        self.sleep(pause)


class PatientRequestor(prawcore.Requestor):
    """What PRAW sends its requests with; prawcore itself gives up on a 429, and on a 5xx after three."""

    def __init__(self, patience: Patience, **settings: Any) -> None:
        super().__init__(**settings)
        self._patience = patience

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """See `prawcore.Requestor.request`. Raises NoAnswerError after TRIES tries."""
        for attempt in range(TRIES):
            asked = None
            self._patience.requests += 1
            try:
                response = super().request(*args, **kwargs)
            except prawcore.RequestException as error:
                if not isinstance(error.original_exception, _BROKEN):
                    raise
                why = f"Reddit cannot be reached ({type(error.original_exception).__name__})"
            else:
                if response.status_code not in _AGAIN and response.status_code < 500:
                    self._tell_limit(response)
                    self._patience.status = response.status_code
                    return response
                why = f"Reddit answers {response.status_code} {response.reason}"
                asked = asked_to_wait(response, time.time())
            if attempt < TRIES - 1:
                self._patience.wait(attempt, asked, why)
        raise NoAnswerError(
            f"{why}, {TRIES} times in a row", hint="Run the same command again later"
        )

    def _tell_limit(self, response: requests.Response) -> None:
        """Before prawcore keeps to the limit by sleeping in silence."""
        left, reset = (_number(response, f"x-ratelimit-{name}") for name in ("remaining", "reset"))
        if left is not None and left < 1 and reset and reset >= _WORTH_TELLING_S:
            self._patience.tell(
                f"Reddit's limit of requests is used up; going on in {reset:,.0f} s"
            )


def asked_to_wait(response: requests.Response, now: float) -> float | None:
    """Seconds that an answer asks to wait: Retry-After, or a 429's time to the next window."""
    told = response.headers.get("retry-after")
    if told is None:
        return _number(response, "x-ratelimit-reset") if response.status_code == 429 else None
    try:
        seconds = float(told)
    except ValueError:
        seconds = _date(told) - now
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _date(told: str) -> float:
    try:
        return parsedate_to_datetime(told).timestamp()
    except ValueError:
        return math.nan


def _number(response: requests.Response, header: str) -> float | None:
    try:
        number = float(response.headers.get(header, ""))
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
