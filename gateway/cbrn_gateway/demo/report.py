"""What the demo says before, during and after a run: plain lines, from facts only."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cbrn_core.agents import AGENTS
from cbrn_core.site_model import SiteModel
from cbrn_gateway.demo import places
from cbrn_gateway.demo.broker import HOST, Broker
from cbrn_gateway.demo.news import STATE_WORDS, where
from cbrn_gateway.demo.tally import Raised, Tally
from cbrn_gateway.pipeline.drops import Drop
from cbrn_gateway.sinks.outbox import ALERTS_CONSUMER, LOG_CONSUMER
from cbrn_gateway.sinks.topics import Topics
from cbrn_gateway.store.journal_file import JournalReader
from cbrn_sim.fittings import Endpoint
from cbrn_sim.square_sim import SimulatedSquare

ALARM_HEAD = ("alarm", "kind", "priority", "state", "level", "where", "versions")
_MOST_PENDING = 10_000
_ID_SHOWN = 8
_KEPT = frozenset({Drop.WARMING_UP, Drop.BAD_QUALITY, Drop.NO_VALUE})
"""Readings that are stored and published, only not fused: no loss."""


def opening(square: SimulatedSquare, broker: Broker, duration_s: float) -> Iterator[str]:
    """Yield what is running, where, and what will happen."""
    topics = Topics(city=places.CITY, site=places.SITE, gateway=places.GATEWAY)
    dialect = "mqttv5" if broker.protocol == 5 else "mqttv311"
    sub = f"mosquitto_sub -V {dialect} -h {HOST} -p {broker.port}"
    stations = len({endpoint.station_id for endpoint in square.endpoints})
    yield f"CBRN gateway demo: {len(square.endpoints)} simulated instruments at {stations} stations"
    yield "Simulated throughout: what is measured is an EXERCISE, whatever it says."
    yield f"broker    {broker.name}, {broker.version}, {broker.url}; no password, this machine only"
    yield f"topics    {topics.base}/…  and  {topics.base}/exercise/…"
    yield f"alerts    {sub} -v -t '{topics.base}/exercise/alert/+'"
    yield f"readings  {sub} -v -t '{topics.base}/exercise/reading/+'"
    for line in _plot(square):
        yield f"plot      {line}"
    yield f"runs      {duration_s:.0f} s; Ctrl-C ends it earlier, in order"
    yield ""


def progress(tally: Tally, instruments_count: int) -> str:
    """Return one line of how it goes."""
    counts = ((priority, tally.open_count(priority)) for priority in (1, 2, 3))
    alarms = ", ".join(f"{count} × priority {priority}" for priority, count in counts if count)
    read = f"{len(tally.devices)} of {instruments_count} instruments"
    return f"{tally.readings} readings of {read}; open alarms: {alarms or 'none'}"


def unread(endpoints: Sequence[Endpoint], tally: Tally) -> list[str]:
    """Return the devices that have given no reading yet."""
    return [e.device_id for e in endpoints if e.device_id not in tally.devices]


def instruments(endpoints: Sequence[Endpoint], tally: Tally) -> str:
    """Return how many instruments were read, which not, and the stations they stand at."""
    missing = unread(endpoints, tally)
    by_station = Counter(e.station_id for e in endpoints if e.device_id in tally.devices)
    stations = ", ".join(f"{station} {count}" for station, count in sorted(by_station.items()))
    line = f"{len(endpoints) - len(missing)} of {len(endpoints)} instruments read ({stations})"
    return f"{line}; NOT read: {', '.join(missing)}" if missing else line


def alarm_rows(tally: Tally, model: SiteModel) -> list[tuple[str, ...]]:
    """Return the table of the alarms, worst first."""
    rows: list[tuple[str, ...]] = []
    for alert in tally.told_alerts():
        told = alert["properties"]
        rows.append(
            (
                alert["id"][:_ID_SHOWN],
                told["kind"],
                str(told["priority"]),
                STATE_WORDS.get(told["state"], told["state"]),
                told["level"] or "–",
                where(alert, model).partition(", lat")[0],
                str(told["version"]),
            )
        )
    return rows


def closing(square: SimulatedSquare, tally: Tally, counters: Mapping[str, int]) -> Iterator[str]:
    """Yield readings, delays and losses of the run."""
    yield instruments(square.endpoints, tally)
    versions = f"{tally.versions} alert versions of {len(tally.alerts)} alarms"
    yield f"{tally.readings} readings, {versions}"
    yield _first_alarm(square, tally.first_priority_1)
    losses = {drop: counters.get(drop, 0) for drop in [*Drop, "inbox_full"] if drop not in _KEPT}
    lost = ", ".join(f"{name} {count}" for name, count in losses.items() if count)
    yield f"readings dropped: {lost or 'none'}"
    unfused = ", ".join(f"{drop} {counters[drop]}" for drop in sorted(_KEPT) if drop in counters)
    if unfused:
        yield f"readings kept but not fused: {unfused}"


def delivery(data_dir: Path) -> str:
    """Return how much of the journal the broker has acknowledged; raises StorageError."""
    reader = JournalReader(data_dir / "journal.db")
    try:
        entries = reader.head().seq
        log_waiting = len(reader.pending_in_order(LOG_CONSUMER, _MOST_PENDING))
        alarms_waiting = len(reader.pending_newest(ALERTS_CONSUMER, _MOST_PENDING))
    finally:
        reader.close()
    return (
        f"journal entries: {entries}, acknowledged by the broker: {entries - log_waiting}; "
        f"alarms with an undelivered newest version: {alarms_waiting or 'none'}"
    )


def _plot(square: SimulatedSquare) -> Iterator[str]:
    truth = square.truth()
    for release in truth.releases:
        name = AGENTS[release.agent].name() if release.agent in AGENTS else release.agent
        yield f"{release.start_s:.0f} s after the start {name} is released (simulated)"
    for source in truth.sources:
        if source.carried_by is not None and source.track:
            at_s = source.track[0][0]
            who = f"a {source.carried_by} with {source.nuclide}"
            yield f"{at_s:.0f} s after the start {who} begins to walk through (simulated)"
    if not truth.releases and not truth.sources:
        yield "nothing happens: every alarm would be a false one"


def _first_alarm(square: SimulatedSquare, first: Raised | None) -> str:
    if first is None:
        return "no priority 1 alarm"
    line = f"first priority 1 alarm {first.after_s:.1f} s after the start of the square"
    releases = [r.start_s for r in square.truth().releases if r.start_s <= first.after_s]
    if first.alert["properties"]["hazard"] == "chemical" and releases:
        line += (
            f", {first.after_s - min(releases):.1f} s after the release (travel of the gas in it)"
        )
    return line
