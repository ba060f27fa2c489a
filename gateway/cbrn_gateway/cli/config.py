"""`config`: look at a new site file, apply it to the running daemon, take it back."""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from cbrn_core.errors import ConfigError, DeliveryError, Problem
from cbrn_gateway.cli import EXIT_FAILED, EXIT_USAGE
from cbrn_gateway.cli.options import (
    json_option,
    login_name,
    print_table,
    printable,
    site_option,
)
from cbrn_gateway.config.admission import admitted, data_dir_of, read_candidate, read_text
from cbrn_gateway.config.load import load_site
from cbrn_gateway.config.plan import plan
from cbrn_gateway.live.config_wire import ConfigAnswer, ConfigRequest, Verb
from cbrn_gateway.live.control import ask

CommandT = TypeVar("CommandT", bound=Callable[..., None])

LONGEST_CHANGE_S = 60.0
LOOK_EVERY_S = 0.5
_new_file = click.argument("new_file", type=click.Path(path_type=Path, dir_okay=False))


@click.group("config")
def command() -> None:
    """Change the configuration of the running daemon.

    A new file is planned, then applied, then on trial ([gateway] config_trial_s, 60 s):
    where an instrument or a sink that worked before does not work with it, the daemon goes
    back by itself and says so. Drivers and sinks that stay the same are not touched.
    Relative paths in NEW.toml start at the folder of SITE.toml.
    """


def _orders(order: CommandT) -> CommandT:
    decorators = (
        site_option,
        click.option("--actor", help="Who gives the order (default: CBRN_ACTOR, or the login)."),
        click.option("--wait", is_flag=True, help="Return when the trial has ended."),
        json_option,
    )
    for decorate in reversed(decorators):
        order = decorate(order)
    return order


@command.command("plan")
@_new_file
@site_option
@json_option
def plan_command(new_file: Path, site_file: Path, *, as_json: bool) -> None:
    """Show what NEW.toml would change against SITE.toml; opens nothing.

    Exit 2 and one line `path: reason` for each problem where it cannot be applied.
    """
    current = admitted(load_site(site_file, allow_simulated=True))
    try:
        new = read_candidate(new_file, current)
    except ConfigError as error:
        _show_problems([(p.path, p.reason) for p in error.problems], as_json=as_json)
        sys.exit(EXIT_USAGE)
    planned = plan(current, new)
    if as_json:
        click.echo(msgspec.json.encode(planned))
        return
    for line in planned.lines():
        click.echo(printable(line))


@command.command("apply")
@_new_file
@_orders
def apply_command(new_file: Path, **given: Any) -> None:  # noqa: ANN401 - those of `_orders`
    """Have the running daemon change to NEW.toml; it becomes SITE.toml after its trial."""
    _order(Verb.APPLY, text=read_text(new_file), **given)


@command.command("rollback")
@click.argument("config_hash", required=False)
@_orders
def rollback_command(config_hash: str | None, **given: Any) -> None:  # noqa: ANN401
    """Go back to the configuration before, or to the one whose hash begins so; no trial."""
    _order(Verb.ROLLBACK, config_hash=config_hash, **given)


@command.command("history")
@site_option
@json_option
def history_command(site_file: Path, *, as_json: bool) -> None:
    """List what was in force, the newest last: that one is in force now."""
    folder = data_dir_of(site_file)
    answer = _asked(folder, ConfigRequest(verb=Verb.HISTORY, actor=login_name()))
    if as_json:
        for version in answer.versions:
            click.echo(msgspec.json.encode(version))
        return
    rows = [
        (str(v.number), v.config_hash[:12], v.time, v.how, v.actor, v.reason or "")
        for v in answer.versions
    ]
    print_table(("version", "hash", "since", "how", "by", "why"), rows)


def _order(
    verb: Verb,
    *,
    site_file: Path,
    actor: str | None,
    wait: bool,
    as_json: bool,
    text: str | None = None,
    config_hash: str | None = None,
) -> None:
    folder = data_dir_of(site_file)
    actor = actor or login_name()
    request = ConfigRequest(verb=verb, actor=actor, text=text, hash=config_hash)
    answer = _asked(folder, request)
    if not answer.accepted:
        _show_refusal(answer, as_json=as_json)
        sys.exit(EXIT_USAGE if answer.problems else EXIT_FAILED)
    wanted = answer.config_hash
    while wait and answer.on_trial:
        time.sleep(min(LOOK_EVERY_S, answer.trial_s + 0.05))
        later = _asked(folder, ConfigRequest(verb=Verb.HISTORY, actor=actor))
        answer = msgspec.structs.replace(later, changes=answer.changes, versions=())
    if as_json:
        click.echo(msgspec.json.encode(answer))
    else:
        _show(answer, wanted)
    if answer.config_hash != wanted:
        sys.exit(EXIT_FAILED)


def _asked(folder: Path, request: ConfigRequest) -> ConfigAnswer:
    line = msgspec.json.encode(request)
    answer = asyncio.run(ask(folder, line, LONGEST_CHANGE_S))
    try:
        return msgspec.json.decode(answer, type=ConfigAnswer)
    except msgspec.DecodeError as error:
        raise DeliveryError(f"the daemon's answer cannot be read: {error}") from None


def _show(answer: ConfigAnswer, wanted: str) -> None:
    for line in answer.changes:
        click.echo(printable(line))
    if answer.reason is not None:
        click.echo(printable(answer.reason))
    if answer.config_hash != wanted:
        why = f"rolled back: {answer.config_hash[:12]} is in force again; see: alerts list"
        click.echo(why, err=True)
    elif answer.on_trial:
        click.echo(f"in force, on trial for {answer.trial_s:.0f} s")
    else:
        click.echo("in force")


def _show_refusal(answer: ConfigAnswer, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(answer))
        return
    if answer.problems:
        _show_problems([(p.path, p.reason) for p in answer.problems], as_json=False)
    click.echo(printable(f"refused: {answer.reason}"), err=True)


def _show_problems(problems: list[tuple[str, str]], *, as_json: bool) -> None:
    for path, reason in problems:
        if as_json:
            click.echo(msgspec.json.encode({"severity": "error", "path": path, "reason": reason}))
        else:
            click.echo(printable(str(Problem(path, reason))), err=True)
