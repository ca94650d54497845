"""Times of tables come out as moments; nobody guesses a zone."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from corpus_lonely.errors import SettingsError
from corpus_lonely.ingest.tables.times import NoZoneError, TimeReader
from tests.ingest.lines import MARCH


@pytest.mark.parametrize(
    ("value", "settings", "expected"),
    [
        (MARCH, {}, MARCH),
        (str(MARCH), {}, MARCH),
        (f" {MARCH}.5 ", {}, MARCH + 0.5),
        (MARCH * 1000, {"unit": "ms"}, MARCH),
        (f"{MARCH}000000", {"unit": "us"}, MARCH),
        ("2020-03-01T00:00:00Z", {}, MARCH),
        ("2020-03-01 02:00:00+02:00", {"zone": "Asia/Tokyo"}, MARCH),
        ("2020-03-01 00:00:00 UTC", {}, MARCH),
        ("2020-03-01", {"zone": "UTC"}, MARCH),
        ("2020-03-01 01:00", {"zone": "Europe/Berlin"}, MARCH),
        ("2020-10-25 02:30", {"zone": "Europe/Berlin"}, 1603585800),  # the first of two
        ("01.03.2020 01:00", {"zone": "Europe/Berlin", "form": "%d.%m.%Y %H:%M"}, MARCH),
        ("01.03.2020 01:00 +0100", {"form": "%d.%m.%Y %H:%M %z"}, MARCH),
        (datetime(2020, 3, 1, tzinfo=UTC), {}, MARCH),
        (datetime(2020, 3, 1, 2, tzinfo=timezone(timedelta(hours=2))), {}, MARCH),
        (date(2020, 3, 1), {"zone": "UTC"}, MARCH),
        ("yesterday", {"zone": "UTC"}, None),
        ("03/01/2020", {"zone": "UTC"}, None),
        ("2020-03-01", {"zone": "UTC", "form": "%d.%m.%Y"}, None),
        (float("nan"), {}, None),
        (True, {}, None),
        ([1], {}, None),
    ],
)
def test_values(value: Any, settings: dict[str, str], expected: float | None) -> None:
    assert TimeReader(**settings)(value) == expected


@pytest.mark.parametrize(
    "value",
    ["2020-03-01 12:00", "2020-03-01", datetime(2020, 3, 1), date(2020, 3, 1)],  # noqa: DTZ001
)
def test_a_time_without_zone_is_refused(value: Any) -> None:
    with pytest.raises(NoZoneError):
        TimeReader()(value)


@pytest.mark.parametrize("settings", [{"zone": "Mars/Olympus"}, {"zone": "../x"}, {"unit": "d"}])
def test_settings_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="must be"):
        TimeReader(**settings)
