"""Commands of `cbrn-gateway`: thin; each file is one command."""

import importlib
import os
import sys

import click

from cbrn_core.errors import CbrnError, ConfigError, PrerequisiteMissing

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_PREREQUISITE = 3

COMMANDS = {
    "demo": "a whole simulated square on this machine",
    "init": "write a commented starter for a site",
    "check": "validate a site file without any input or output",
    "run": "the daemon",
    "alerts": "list, acknowledge, shelve, resolve, comment",
    "config": "plan, apply and take back a new site file while it runs",
    "record": "capture what the instruments say",
    "replay": "the same pipeline in virtual time over a recording",
    "profiles": "list the instruments",
    "decode": "decode frames of an instrument",
    "verify": "check the journal's hash chain",
}


class LazyGroup(click.Group):
    """Imports a command only when it is used, so that `--help` is quick in the field."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands in the order of the handbook."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"cbrn_gateway.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cbrn-gateway")
def cli() -> None:
    """CBRN sensor gateway and fusion daemon: from bytes on a wire to a located alert.

    Not a certified gas-safety, dosimetry or medical device; it does not replace them.

    Exit codes: 0 ok, 1 the operation failed, 2 bad usage or configuration,
    3 a prerequisite is missing (named).
    """


def main() -> None:
    """Run the command line; every error of ours becomes one clear message and its exit code."""
    try:
        code = _run()
        sys.stdout.flush()
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.Abort:
        sys.exit(EXIT_FAILED)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE if isinstance(error, click.UsageError) else EXIT_FAILED)
    except CbrnError as error:
        _fail(error)
    except BrokenPipeError:
        # what is still buffered has no reader: the interpreter must not complain at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except OSError as error:
        click.echo(f"cbrn-gateway: {error}", err=True)
        sys.exit(EXIT_FAILED)
    else:
        sys.exit(code if isinstance(code, int) else None)


def _run() -> object:
    """Run the chosen command; an error of one of its tasks comes out without its group."""
    try:
        return cli(standalone_mode=False)
    except BaseExceptionGroup as group:
        known = group.subgroup((CbrnError, OSError))
        if known is None:
            raise
        raise _first(known) from None


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _fail(error: CbrnError) -> None:
    told = str(error) if isinstance(error, ConfigError) else f"cbrn-gateway: {error}"
    for line in told.splitlines():
        # words of others may be quoted in it: none of them may steer this terminal
        click.echo("".join(c if c.isprintable() else " " for c in line), err=True)
    if isinstance(error, ConfigError):
        sys.exit(EXIT_USAGE)
    sys.exit(EXIT_PREREQUISITE if isinstance(error, PrerequisiteMissing) else EXIT_FAILED)
