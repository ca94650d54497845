"""How long is waited, and what for; no clock is slept by."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
import requests

from corpus_lonely.errors import SettingsError
from corpus_lonely.ingest.crawl.patience import TRIES, Patience, asked_to_wait, first_wait_s

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def response(status: int, **headers: str) -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return answer


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry_after": "7"}, 7.0),
        (503, {"retry_after": "0.5"}, 0.5),
        (503, {"retry_after": "-3"}, 0.0),
        (503, {"retry_after": format_datetime(MOMENT, usegmt=True)}, 90.0),
        (503, {"retry_after": "soon"}, None),
        (503, {"retry_after": "inf"}, None),
        (429, {"x_ratelimit_reset": "41"}, 41.0),
        (429, {"retry_after": "7", "x_ratelimit_reset": "41"}, 7.0),
        (503, {"x_ratelimit_reset": "41"}, None),  # of the limit, which is not what failed
        (429, {}, None),
        (429, {"x_ratelimit_reset": "?"}, None),
    ],
)
def test_what_reddit_asks_for(status: int, headers: dict[str, str], seconds: float | None) -> None:
    assert asked_to_wait(response(status, **headers), MOMENT.timestamp() - 90) == seconds


def test_waits_double_up_to_a_bound_and_never_agree() -> None:
    slept: list[float] = []
    told: list[str] = []
    for _ in range(50):
        patience = Patience(2.0, told.append, slept.append)
        for attempt in range(TRIES - 1):
            patience.wait(attempt, None, "Reddit answers 503")
        assert patience.repeated == TRIES - 1
    for attempt in range(TRIES - 1):
        waits = slept[attempt :: TRIES - 1]
        longest = 2.0 * min(2**attempt, 300)
        assert longest / 2 <= min(waits) < max(waits) <= longest
        assert max(waits) - min(waits) > longest / 4
    assert len(told) == sum(wait >= 5 for wait in slept)  # a blink is not worth a line
    assert told[0].startswith("Reddit answers 503; asking again in")


def test_what_was_asked_for_comes_before_the_jitter() -> None:
    slept: list[float] = []
    Patience(1.0, sleep=slept.append).wait(0, 60.0, "")
    assert 60.5 <= slept[0] <= 61


@pytest.mark.parametrize("told", ["x", "-1", "inf", "nan", ""])
def test_a_first_wait_that_is_none(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUS_LONELY_BACKOFF_S", told)
    with pytest.raises(SettingsError, match="CORPUS_LONELY_BACKOFF_S must be a number of seconds"):
        first_wait_s()
