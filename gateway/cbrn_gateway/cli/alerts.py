"""`alerts`: what stands, and what a person does about it."""

import asyncio
import re
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import click
import msgspec

from cbrn_core.errors import ConfigError, PrerequisiteMissing, Problem, StorageError
from cbrn_core.times import US_PER_S, parse_rfc3339, us_to_datetime
from cbrn_gateway.cli import EXIT_FAILED
from cbrn_gateway.cli.options import (
    json_option,
    login_name,
    print_table,
    printable,
    site_option,
)
from cbrn_gateway.config.load import load_site
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live.control import ask, is_running
from cbrn_gateway.store.journal_file import JournalReader
from cbrn_gateway.wire import AnswerMessage, CommandMessage

CommandT = TypeVar("CommandT", bound=Callable[..., None])

MOST_LISTED = 10_000
SHORT_ID = 8
_WHOLE_ID = re.compile(r"[a-z2-7]{32}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h)")
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_TITLES = ("prio", "state", "level", "where", "since", "age", "alarm@version", "text")


class _Listed(NamedTuple):
    """One alarm as the journal knows it: `alert` is the newest version's Feature."""

    id: str
    version: int
    alert: dict[str, Any]

    @property
    def said(self) -> dict[str, Any]:
        properties: dict[str, Any] = self.alert["properties"]
        return properties

    @property
    def raised_us(self) -> int:
        return parse_rfc3339(self.said["raised_at"])


@click.group("alerts")
def command() -> None:
    """List alarms, and acknowledge, shelve, resolve or comment them.

    `list` reads the journal and works without the daemon; all others ask the daemon that
    runs in data_dir (exit 3 where none runs, 1 where it refuses). ALARM is the id or its
    unique beginning, as `list` shows it, with the version you saw: abcd2345@3.
    """


@command.command("list")
@site_option
@click.option("--all", "show_all", is_flag=True, help="Closed alarms too.")
@json_option
def list_command(site_file: Path, *, show_all: bool, as_json: bool) -> None:
    """List what stands: what is real first, by priority, the newest on top.

    --json prints each alarm's newest alert, one GeoJSON Feature a line.
    """
    config = load_site(site_file, allow_simulated=True)
    alarms = sorted(_journalled(config, show_all=show_all), key=_urgency)
    if not asyncio.run(is_running(config.data_dir)):
        note = f"no daemon is running in {config.data_dir}: this is what stood when it ended"
        click.echo(note, err=True)
    if as_json:
        for alarm in alarms:
            click.echo(msgspec.json.encode(alarm.alert))
        return
    if not alarms:
        click.echo("no alarm on record" if show_all else "no open alarm")
        return
    now_us = time.time_ns() // 1000
    zone = ZoneInfo(config.model.site.timezone)
    print_table(_TITLES, [_row(alarm, zone, now_us) for alarm in alarms])


def _orders(order: CommandT) -> CommandT:
    """Add what every order has: the alarm, who gives it, and against what repeats are known."""
    decorators = (
        click.argument("alarm"),
        site_option,
        click.option("--actor", help="Who gives the order (default: CBRN_ACTOR, or the login)."),
        click.option("--version", type=click.IntRange(1), help="The version you saw."),
        click.option("--key", help="Idempotency key: the same order twice is carried out once."),
        json_option,
    )
    for decorate in reversed(decorators):
        order = decorate(order)
    return order


_reason = click.option("--reason", "-m", "text", required=True, help="Why; kept in the journal.")
_second = click.option("--second", "second_actor", help="The second person, where two are needed.")
_duration = click.option("--for", "duration", help="How long: 90s, 30m, 2h.")


@command.command("ack")
@_orders
@click.option("--comment", "-m", "text", help="A note for the others.")
def ack_command(**given: Any) -> None:  # noqa: ANN401 - the options of `_orders`
    """Acknowledge: a person has seen it and acts."""
    _order("ack", **given)


@command.command("shelve")
@_orders
@_reason
@_duration
@_second
def shelve_command(**given: Any) -> None:  # noqa: ANN401
    """Set aside for a time; priority 1 never, a specific alarm only by two persons."""
    _order("shelve", **given)


@command.command("unshelve")
@_orders
def unshelve_command(**given: Any) -> None:  # noqa: ANN401
    """End the shelving now."""
    _order("unshelve", **given)


@command.command("resolve")
@_orders
@_reason
def resolve_command(**given: Any) -> None:  # noqa: ANN401
    """Close an alarm whose condition has cleared."""
    _order("resolve", **given)


@command.command("comment")
@_orders
@click.argument("text")
def comment_command(**given: Any) -> None:  # noqa: ANN401
    """Add TEXT to an alarm."""
    _order("comment", **given)


def _order(
    verb: str,
    *,
    alarm: str,
    site_file: Path,
    actor: str | None,
    version: int | None,
    key: str | None,
    as_json: bool,
    text: str | None = None,
    duration: str | None = None,
    second_actor: str | None = None,
) -> None:
    config = load_site(site_file, allow_simulated=True)
    duration_s = None if duration is None else _duration_s(duration)
    named, _, seen = alarm.partition("@")
    if seen and not seen.isdecimal():
        raise click.UsageError(f"{alarm!r}: after @ stands the version that you saw")
    if not asyncio.run(is_running(config.data_dir)):
        start = f"cbrn-gateway run -c {site_file}"
        raise PrerequisiteMissing(f"no daemon is running in {config.data_dir}; start it: {start}")
    alarm_id, newest = _resolved(config, named.lower())
    wish = CommandMessage(
        verb=verb,
        actor=actor or login_name(),
        alarm_id=alarm_id,
        version=version or (int(seen) if seen else newest),
        idempotency_key=key or uuid.uuid4().hex,
        text=text,
        duration_s=duration_s,
        second_actor=second_actor,
    )
    line = asyncio.run(ask(config.data_dir, msgspec.json.encode(wish)))
    answer = msgspec.json.decode(line, type=AnswerMessage)
    if as_json:
        click.echo(line)
    elif answer.accepted:
        click.echo(f"{verb} {alarm_id[:SHORT_ID]}: accepted")
    else:
        click.echo(f"{verb} {alarm_id[:SHORT_ID]}: refused: {printable(answer.reason or '')}")
    if not answer.accepted:
        sys.exit(EXIT_FAILED)


def _journalled(config: SiteConfig, *, show_all: bool) -> list[_Listed]:
    path = config.data_dir / "journal.db"
    if not path.exists():
        raise StorageError(f"{path}: there is no journal: no daemon has run here yet")
    reader = JournalReader(path)
    try:
        entries = reader.newest_alerts(MOST_LISTED) if show_all else reader.open_alerts()
    finally:
        reader.close()
    return [
        _Listed(entry.alarm_id, entry.version, entry.decode())
        for entry in entries
        if entry.alarm_id is not None and entry.version is not None
    ]


def _urgency(alarm: _Listed) -> tuple[bool, int, int]:
    said = alarm.said
    rank = 4 if said["priority"] == "D" else int(said["priority"])
    return said["purpose"] != "actual", rank, -alarm.raised_us


def _row(alarm: _Listed, zone: ZoneInfo, now_us: int) -> tuple[str, ...]:
    said = alarm.said
    where = said["station"] or said["zone"] or said["site"]
    if said["channel"] is not None:
        where = f"{where}/{said['channel']}"
    return (
        str(said["priority"]),
        said["state"],
        said["level"],
        where,
        _local(alarm.raised_us, zone),
        _age((now_us - alarm.raised_us) // US_PER_S),
        f"{alarm.id[:SHORT_ID]}@{alarm.version}",
        said["text"],
    )


def _local(time_us: int, zone: ZoneInfo) -> str:
    moment = us_to_datetime(time_us).astimezone(zone)
    offset = moment.strftime("%z")
    return f"{moment:%Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:5]}"


def _age(seconds: int) -> str:
    if seconds < 0:
        return "in the future: check the clock"
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 172_800 else f"{seconds // 86_400} d"


def _resolved(config: SiteConfig, beginning: str) -> tuple[str, int | None]:
    """Return (id, newest version) of the alarm that a beginning means."""
    alarms = _journalled(config, show_all=True) if beginning else []
    found = [alarm for alarm in alarms if alarm.id.startswith(beginning)]
    still_open = [alarm for alarm in found if alarm.said["state"] != "normal"]
    candidates = still_open or found
    if len(candidates) == 1:
        return candidates[0].id, candidates[0].version
    if candidates:
        ids = ", ".join(alarm.id for alarm in candidates[:5])
        raise click.UsageError(f"{beginning!r} is the beginning of several alarms: {ids} …")
    if _WHOLE_ID.fullmatch(beginning):
        return beginning, None
    raise click.ClickException(f"there is no alarm {beginning!r}; see: cbrn-gateway alerts list")


def _duration_s(text: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ConfigError([Problem("--for", f"{text!r} is not like 90s, 30m or 2h")])
    return float(match[1]) * _SECONDS[match[2]]
