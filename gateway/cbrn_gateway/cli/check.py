"""`check`: validate a site file; nothing is opened."""

import sys
from pathlib import Path

import click
import msgspec

from cbrn_core.errors import ConfigError, Problem
from cbrn_gateway.cli.options import json_option, site_option
from cbrn_gateway.config.lint import Finding, lint
from cbrn_gateway.config.load import load_site

EXIT_USAGE = 2


@click.command("check")
@site_option
@json_option
def command(site_file: Path, *, as_json: bool) -> None:
    """Validate a site file without input or output; exit 2 and `path: reason` per problem."""
    try:
        config = load_site(site_file)
    except ConfigError as error:
        _show([Finding(problem, error=True) for problem in error.problems], as_json=as_json)
        sys.exit(EXIT_USAGE)
    findings = lint(config)
    _show(findings, as_json=as_json)
    if any(finding.error for finding in findings):
        sys.exit(EXIT_USAGE)
    if not as_json:
        model = config.model
        click.echo(
            f"{site_file}: ok: {len(model.stations)} stations, {len(model.devices)} devices, "
            f"{len(model.channels)} channels, policy {config.policy.id}, "
            f"{len(findings)} warnings"
        )


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
            click.echo(str(problem), err=True)
        else:
            click.echo(f"warning: {problem}", err=True)
