"""Times: integers of microseconds since 1970-01-01T00:00:00Z (UTC, no leap seconds).

Integers keep live and replay identical; only the edges speak RFC 3339.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

US_PER_S = 1_000_000
US_PER_MS = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def datetime_to_us(moment: datetime) -> int:
    """Return an aware datetime as microseconds since the epoch."""
    if moment.tzinfo is None:
        raise ValueError("a time needs its offset from UTC")
    return (moment - _EPOCH) // _MICROSECOND


def us_to_datetime(time_us: int) -> datetime:
    """Return microseconds since the epoch as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=time_us)


def parse_rfc3339(text: str) -> int:
    """Return an RFC 3339 time as microseconds since the epoch.

    Raises:
        ValueError: not a date-time, or without an offset.
    """
    return datetime_to_us(datetime.fromisoformat(text))


@lru_cache(maxsize=128)  # the channels of one instrument have one time
def format_rfc3339(time_us: int) -> str:
    """Return RFC 3339 in UTC: milliseconds, microseconds only where they are needed."""
    moment = us_to_datetime(time_us).replace(tzinfo=None)
    spec = "milliseconds" if time_us % US_PER_MS == 0 else "microseconds"
    return moment.isoformat(timespec=spec) + "Z"


def local_then_utc(time_us: int, zone: tzinfo) -> str:
    """Return `21:01:07 +02:00 (19:01:07Z)`: local time with offset first, UTC second."""
    utc = us_to_datetime(time_us)
    local = utc.astimezone(zone)
    offset = local.strftime("%z")
    return f"{local:%H:%M:%S} {offset[:3]}:{offset[3:5]} ({utc:%H:%M:%S}Z)"


def seconds_to_us(seconds: float) -> int:
    """Return a duration in seconds as whole microseconds."""
    return round(seconds * US_PER_S)
