"""Live MQTT payloads (contracts §5): readings, estimates, status; pure encoders.

Who may see a channel is decided before (`live_queue`): these encoders write what they get.
"""

from collections.abc import Mapping, Sequence

import msgspec

from cbrn_core.estimate import Estimate
from cbrn_core.reading import Detection, Reading
from cbrn_core.times import format_rfc3339

READINGS_SCHEMA = "cbrn-readings/1"
ESTIMATE_SCHEMA = "cbrn-estimate/1"
STATUS_SCHEMA = "cbrn-status/1"
CANARY_SCHEMA = "cbrn-canary/1"
COVERAGE_SCHEMA = "cbrn-coverage/1"
LOG_PAGE_SCHEMA = "cbrn-log-page/1"
JSON = "application/json"
CAP_XML = "application/cap+xml"


class ReadingRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reading as in a recording (contracts §3); absent means not said.

    `value` is null where there is none or where it is not a finite number.
    """

    time: str
    station: str
    channel: str
    value: float | None
    unit: str
    quality: str
    flags: tuple[str, ...] = ()
    received_at: str | None = None
    device: str | None = None
    sigma: float | None = None
    raw: float | str | None = None
    lat: float | None = None
    lon: float | None = None
    alt_m: float | None = None
    accuracy_m: float | None = None
    speed_m_s: float | None = None
    gnss_fix: bool | None = None
    livetime_s: float | None = None
    resulted_at: str | None = None
    seq: int | None = None
    purpose: str | None = None
    detection: Detection | None = None


class ReadingsMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`cbrn-readings/1`: readings of one station.

    `epoch` names the live stream (UTC seconds of its start), `seq_from` … `seq_to` count
    the station's readings in it: a jump between two messages is what was dropped.
    """

    schema: str
    gateway: str
    epoch: int
    seq_from: int
    seq_to: int
    rows: tuple[ReadingRow, ...]


class EstimateRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One estimate, in the quantity's canonical unit."""

    time: str
    station: str
    channel: str
    value: float
    sigma: float
    unit: str
    nis: float
    quality: str
    flags: tuple[str, ...] = ()
    instrument_value: float | None = None
    trend_per_min: float | None = None
    purpose: str = "actual"


class EstimatesMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`cbrn-estimate/1`: estimates of one channel, oldest first."""

    schema: str
    gateway: str
    rows: tuple[EstimateRow, ...]


class StatusMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`cbrn-status/1`: whether the gateway is there, and what it had to drop.

    `since` is when this state began; null in the will, because a gateway that dies cannot
    say when: `online_since` tells which connection it was.
    """

    schema: str
    gateway: str
    state: str
    since: str | None
    online_since: str
    version: str
    counters: dict[str, int]


class CanaryMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`cbrn-canary/1`: proves a path, says nothing about the square.

    `number` is that of this canary on this path; it rises.
    """

    schema: str
    gateway: str
    soc: str
    number: int
    sent_at: str


class CoverageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one zone can do against one substance; no zone for stations outside of all.

    `ability` is can, degraded or cannot; `because` tells why it is not `can`.
    """

    zone: str | None
    agent: str
    ability: str
    watching: int
    fitted: int
    because: tuple[str, ...]


class CoverageMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`cbrn-coverage/1`: restricted, it tells where a square is blind."""

    schema: str
    gateway: str
    at: str
    rows: tuple[CoverageRow, ...]


class LogPageMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`cbrn-log-page/1`: journal entries that were asked for, each as on the log topic.

    `seq_from` … `seq_to` is what the page holds (one less than `seq_from`: nothing);
    `epoch` and `head_seq` are those of the journal's newest entry. `next_seq` is the first
    entry wanted and not sent yet, null when there is none; `is_last`: no page follows this
    one, ask again from `next_seq` where there is one.
    """

    schema: str
    gateway: str
    epoch: int
    head_seq: int
    seq_from: int
    seq_to: int
    next_seq: int | None
    is_last: bool
    rows: tuple[msgspec.Raw, ...]


def encode_readings(
    gateway: str, epoch: int, seq_from: int, seq_to: int, readings: Sequence[Reading]
) -> bytes:
    """Return a `cbrn-readings/1` payload."""
    message = ReadingsMessage(
        schema=READINGS_SCHEMA,
        gateway=gateway,
        epoch=epoch,
        seq_from=seq_from,
        seq_to=seq_to,
        rows=tuple(reading_to_row(reading) for reading in readings),
    )
    return msgspec.json.encode(message)


def encode_estimates(gateway: str, estimates: Sequence[Estimate]) -> bytes:
    """Return a `cbrn-estimate/1` payload."""
    rows = tuple(_estimate_to_row(estimate) for estimate in estimates)
    return msgspec.json.encode(EstimatesMessage(schema=ESTIMATE_SCHEMA, gateway=gateway, rows=rows))


def encode_status(
    gateway: str,
    state: str,
    *,
    since_us: int | None,
    online_since_us: int,
    version: str,
    counters: Mapping[str, int],
) -> bytes:
    """Return a `cbrn-status/1` payload; `state` is online or offline."""
    message = StatusMessage(
        schema=STATUS_SCHEMA,
        gateway=gateway,
        state=state,
        since=None if since_us is None else format_rfc3339(since_us),
        online_since=format_rfc3339(online_since_us),
        version=version,
        counters=dict(counters),
    )
    return msgspec.json.encode(message)


def encode_canary(gateway: str, soc: str, number: int, sent_at: str) -> bytes:
    """Return a `cbrn-canary/1` payload; `sent_at` is RFC 3339."""
    message = CanaryMessage(
        schema=CANARY_SCHEMA, gateway=gateway, soc=soc, number=number, sent_at=sent_at
    )
    return msgspec.json.encode(message)


def encode_coverage(gateway: str, at_us: int, rows: Sequence[CoverageRow]) -> bytes:
    """Return a `cbrn-coverage/1` payload."""
    message = CoverageMessage(
        schema=COVERAGE_SCHEMA, gateway=gateway, at=format_rfc3339(at_us), rows=tuple(rows)
    )
    return msgspec.json.encode(message)


def encode_log_page(
    gateway: str,
    *,
    epoch: int,
    head_seq: int,
    seq_from: int,
    seq_to: int,
    next_seq: int | None,
    is_last: bool,
    bodies: Sequence[bytes],
) -> bytes:
    """Return a `cbrn-log-page/1` payload; `bodies` are entries in JSON, to the byte."""
    message = LogPageMessage(
        schema=LOG_PAGE_SCHEMA,
        gateway=gateway,
        epoch=epoch,
        head_seq=head_seq,
        seq_from=seq_from,
        seq_to=seq_to,
        next_seq=next_seq,
        is_last=is_last,
        rows=tuple(map(msgspec.Raw, bodies)),
    )
    return msgspec.json.encode(message)


def reading_to_row(reading: Reading) -> ReadingRow:
    """Return the reading as it stands in a recording and on the wire."""
    fix = reading.fix
    return ReadingRow(
        time=format_rfc3339(reading.time_us),
        station=reading.station,
        channel=reading.channel,
        value=reading.value,
        unit=reading.unit.value,
        quality=reading.quality.value,
        flags=tuple(flag.value for flag in reading.flags),
        received_at=(
            None if reading.received_us == reading.time_us else format_rfc3339(reading.received_us)
        ),
        device=reading.device,
        sigma=reading.sigma,
        raw=reading.raw,
        lat=None if fix is None else fix.lat,
        lon=None if fix is None else fix.lon,
        alt_m=None if fix is None else fix.alt_m,
        accuracy_m=None if fix is None else fix.accuracy_m,
        speed_m_s=None if fix is None else fix.speed_m_s,
        gnss_fix=None if fix is None else fix.gnss_fix,
        livetime_s=reading.livetime_s,
        resulted_at=None if reading.resulted_us is None else format_rfc3339(reading.resulted_us),
        seq=reading.seq,
        purpose=None if reading.purpose is None else reading.purpose.value,
        detection=reading.detection,
    )


def _estimate_to_row(estimate: Estimate) -> EstimateRow:
    return EstimateRow(
        time=format_rfc3339(estimate.time_us),
        station=estimate.station,
        channel=estimate.channel,
        value=estimate.value,
        sigma=estimate.sigma,
        unit=estimate.unit.value,
        nis=estimate.nis,
        quality=estimate.quality.value,
        flags=tuple(flag.value for flag in estimate.flags),
        instrument_value=estimate.instrument_value,
        trend_per_min=estimate.trend_per_min,
        purpose=estimate.purpose.value,
    )
