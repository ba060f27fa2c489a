"""`check`: validate a site file; nothing is opened."""

import sys
from collections.abc import Sized
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from cbrn_core.errors import ConfigError, Problem
from cbrn_gateway.cli import EXIT_USAGE
from cbrn_gateway.cli.options import json_option, printable, site_option
from cbrn_gateway.config.lint import Finding, lint
from cbrn_gateway.config.load import load_site


@click.command("check")
@site_option
@json_option
def command(site_file: Path, *, as_json: bool) -> None:
    """Validate a site file; exit 2 and one line `path: reason` for each problem.

    No instrument, broker or database is opened. Warnings say what a valid file may still
    hurt and how to mend it; they do not change the exit code.
    """
    try:
        config = load_site(site_file)
    except ConfigError as error:
        _show([Finding(problem, error=True) for problem in error.problems], as_json=as_json)
        sys.exit(EXIT_USAGE)
    findings = lint(config, datetime.now(UTC).date())
    _show(findings, as_json=as_json)
    if any(finding.error for finding in findings):
        sys.exit(EXIT_USAGE)
    if not as_json:
        model = config.model
        counted: dict[str, Sized] = {
            "station": model.stations,
            "device": model.devices,
            "channel": model.channels,
            "warning": findings,
        }
        told = [f"{len(of)} {what}{'' if len(of) == 1 else 's'}" for what, of in counted.items()]
        click.echo(f"{site_file}: ok: policy {config.policy.id}, {', '.join(told)}")


def _show(findings: list[Finding], *, as_json: bool) -> None:
    for finding in findings:
        problem: Problem = finding.problem
        if as_json:
            line = {
                "severity": "error" if finding.error else "warning",
                "path": problem.path,
                "reason": problem.reason,
            }
            click.echo(msgspec.json.encode(line))
        elif finding.error:
            click.echo(printable(str(problem)), err=True)
        else:
            click.echo(printable(f"warning: {problem}"), err=True)
