"""What a run left behind: rows, points, journal entries and messages, as plain sets."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from e2e.servers import Influx, Subscriber

from cbrn_gateway.store.series_reader import SeriesReader

NOT_SAMPLES = frozenset({"estimate", "alarm", "health"})
PATIENCE_S = 120.0
SETTLED_S = 3.0


class Sample(NamedTuple):
    """What tells one sample from another."""

    station: str
    channel: str
    time_us: int


def wait_until(met: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Look until a condition holds; fail with its name when patience ends."""
    deadline_s = time.monotonic() + patience_s
    while not met():
        assert time.monotonic() < deadline_s, f"still not after {patience_s:g} s: {what}"
        time.sleep(0.05)


def wait_until_all_is_stored(data_dir: Path) -> None:
    """Wait until what instruments said before they were switched off has reached the disk.

    A spool may be empty while their last readings are still in memory.
    """
    seen, since_s = -1, time.monotonic()
    deadline_s = since_s + PATIENCE_S
    while time.monotonic() - since_s < SETTLED_S:
        assert time.monotonic() < deadline_s, "readings go on though nothing is switched on"
        count = len(stored(data_dir))
        if count != seen:
            seen, since_s = count, time.monotonic()
        time.sleep(0.05)


def stored(data_dir: Path) -> list[Sample]:
    """Return every committed reading of series.db, in the order of its row numbers."""
    path = data_dir / "series.db"
    if _rows(path, "SELECT 1 FROM sqlite_schema WHERE name = 'chunks'") and _rows(
        path, "SELECT 1 FROM chunks LIMIT 1"
    ):
        with closing(SeriesReader(path)) as series:
            pages = [readings for readings, _ in series.samples_after(0)]
        return [Sample(r.station, r.channel, r.time_us) for page in pages for r in page]
    statement = (
        "SELECT c.station, c.channel, h.time_us FROM head h"
        " JOIN channels c ON c.id = h.channel_id WHERE h.quality IS NOT NULL ORDER BY h.row"
    )
    return [Sample(*row) for row in _rows(path, statement)]


def highest_value(data_dir: Path, channel: str) -> float:
    """Return the highest reading that any station stored of a channel, 0 without one."""
    statement = (
        "SELECT MAX(s.value) FROM (SELECT channel_id, value FROM head"
        " UNION ALL SELECT channel_id, greatest FROM chunks) s"
        " JOIN channels c ON c.id = s.channel_id WHERE c.channel = ?"
    )
    ((value,),) = _rows(data_dir / "series.db", statement, channel) or ((None,),)
    return value or 0.0


def journalled(data_dir: Path) -> list[dict]:
    """Return every entry of journal.db in order."""
    rows = _rows(data_dir / "journal.db", "SELECT body FROM entries ORDER BY seq")
    return [json.loads(body) for (body,) in rows]


def spooled(data_dir: Path) -> list[bytes]:
    """Return the lines that wait for InfluxDB, without the daemon's own figures of each minute."""
    rows = _rows(data_dir / "spool.db", "SELECT line FROM lines ORDER BY seq")
    return [line for (line,) in rows if not line.startswith(b"health,")]


def quarantined(data_dir: Path) -> list[tuple[bytes, str]]:
    """Return the lines that InfluxDB would not take, with its reasons."""
    return _rows(data_dir / "spool.db", "SELECT line, reason FROM quarantine")


def points(influx: Influx) -> list[Sample]:
    """Return every point of every reading in InfluxDB; a repeat under other tags is two."""
    measurements = [row["name"] for row in influx.query("SHOW MEASUREMENTS")]
    found = []
    for measurement in measurements:
        if measurement not in NOT_SAMPLES:
            statement = f'SELECT quality FROM "{measurement}" GROUP BY *'
            found += [_sample(row) for row in influx.query(statement)]
    return found


def line_sample(line: bytes) -> Sample:
    """Return which sample a spooled line of line protocol carries."""
    series, _, rest = line.decode().partition(" ")
    tags = dict(part.split("=", 1) for part in series.split(",")[1:])
    return Sample(tags["station"], tags["channel"], int(rest.rsplit(" ", 1)[1]) // 1000)


def is_reading_line(line: bytes) -> bool:
    return line.split(b",", 1)[0].decode() not in NOT_SAMPLES


def alerts(soc: Subscriber, part: str = "/alert/") -> list[dict]:
    """Return the alert bodies a subscriber has heard on the topics with this part, in order."""
    heard = [m for m in soc.messages() if part in m["topic"] and not m["topic"].endswith("/cap")]
    bodies = [json.loads(m["payload"]) for m in heard if m.get("payload")]
    return [body for body in bodies if body.get("type") == "Feature"]


def status_of(soc: Subscriber) -> dict | None:
    """Return the newest status message heard."""
    heard = [m for m in soc.messages() if m["topic"].endswith("/status")]
    return json.loads(heard[-1]["payload"]) if heard else None


def version_of(alert: dict) -> tuple[str, int]:
    return alert["id"], alert["properties"]["version"]


def versions_of(told: Iterable[dict]) -> set[tuple[str, int]]:
    """Return which version of which alarm was told, journalled or heard."""
    return {version_of(alert) for alert in told}


def newest_versions(told: Iterable[dict]) -> dict[str, int]:
    """Return the highest version of each alarm."""
    newest: dict[str, int] = {}
    for alarm_id, version in map(version_of, told):
        newest[alarm_id] = max(version, newest.get(alarm_id, 0))
    return newest


def first_hearings(heard: list[dict]) -> list[dict]:
    """Return each version where it was first heard."""
    seen: set[tuple[str, int]] = set()
    return [a for a in heard if not (version_of(a) in seen or seen.add(version_of(a)))]


def has_heard_whole_journal(soc: Subscriber, data_dir: Path) -> bool:
    """Return whether the log topic has told everything that is journalled by now."""
    return versions_of(journalled(data_dir)) <= versions_of(alerts(soc, "/log/"))


def versions_backwards(heard: Sequence[dict]) -> list[tuple[str, int, int]]:
    """Return each place where an alarm's version went back."""
    newest: Counter[str] = Counter()
    back = []
    for alert in heard:
        alarm_id, version = version_of(alert)
        if version < newest[alarm_id]:
            back.append((alarm_id, newest[alarm_id], version))
        newest[alarm_id] = max(newest[alarm_id], version)
    return back


def _sample(row: dict) -> Sample:
    return Sample(row["station"], row["channel"], row["time"] // 1000)


def _rows(path: Path, statement: str, *arguments: object) -> list:
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(statement, arguments).fetchall()
