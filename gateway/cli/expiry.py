"""`--expires`: from now on for a while, or until a date."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import click

_SPAN = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Expiry(click.ParamType[datetime]):
    """Reads `30d`, `12h`, `90m`, a date, which means its beginning in UTC, or a time as in RFC 3339."""

    name = "30d|DATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the moment. Fails for what is none, or is not to come."""
        if not isinstance(value, str):
            return value
        now = datetime.now(UTC)
        try:
            moment = _moment(value, now)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither a time from now (90m, 12h, 30d) nor a date (2030-01-31)", param, ctx)
        if moment <= now:
            self.fail(f"{value} is in the past, or now", param, ctx)
        return moment


def _moment(value: str, now: datetime) -> datetime:
    if (span := _SPAN.fullmatch(value)) is not None:
        return now + timedelta(**{_UNITS[span[2]]: int(span[1])})
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return datetime.combine(date.fromisoformat(value), time(), UTC)
    moment = datetime.fromisoformat(value)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
