"""Times as tables have them to seconds since 1970, UTC; a time without its zone is never guessed."""

from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from corpus_lonely.errors import SettingsError

UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""How many of each make a second."""


class NoZoneError(ValueError):
    """A time that does not tell its zone, where nobody else tells it."""


@dataclass(frozen=True)
class TimeReader:
    """Numbers count from 1970, UTC; text is ISO 8601, or as `form` says."""

    zone: str | None = None
    """Of times that tell none: a name of the IANA list, as `Europe/Berlin`. Where a clock was set back, the
    first of the two moments is taken."""
    unit: str = "s"
    """Of numbers."""
    form: str | None = None
    """As `datetime.strptime` takes it."""

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise SettingsError(f"--time-unit must be of {', '.join(UNITS)}, got {self.unit}")
        _ = self._zone

    @cached_property
    def _zone(self) -> ZoneInfo | None:
        try:
            return ZoneInfo(self.zone) if self.zone else None
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise SettingsError(
                f"--timezone must be a name like UTC or Europe/Berlin, got {self.zone}"
            ) from None

    @property
    def recorded(self) -> dict[str, Any]:
        """As JSON for the folder's record."""
        return {"timezone": self.zone, "time_unit": self.unit, "time_format": self.form}

    def __call__(self, value: Any) -> float | None:
        """None when it is no time. Raises NoZoneError."""
        if isinstance(value, bool) or value is None:
            return None
        if isinstance(value, int | float):
            return self._number(value)
        if isinstance(value, datetime):
            return self._moment(value)
        if isinstance(value, date):
            return self._moment(datetime.combine(value, time()))
        return self._text(value.strip()) if isinstance(value, str) else None

    def _number(self, value: float) -> float | None:
        # whole numbers stay whole: a float has no nanoseconds left in this century
        scale = UNITS[self.unit]
        if value != value:  # noqa: PLR0124  (NaN, as pandas writes what is missing)
            return None
        return value if scale == 1 else value / scale

    def _text(self, value: str) -> float | None:
        try:
            if self.form:
                return self._moment(datetime.strptime(value, self.form))  # noqa: DTZ007  (looked at next)
            try:
                return self._number(float(value))
            except ValueError:
                plain = f"{value[:-4]}+00:00" if value.endswith(" UTC") else value
                return self._moment(datetime.fromisoformat(plain))
        except NoZoneError:
            raise
        except (ValueError, OverflowError):
            return None

    def _moment(self, moment: datetime) -> float | None:
        if moment.tzinfo is None:
            if self._zone is None:
                raise NoZoneError
            moment = moment.replace(tzinfo=self._zone)
        try:
            return moment.timestamp()
        except (ValueError, OverflowError):
            return None
