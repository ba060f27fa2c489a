"""Commands of `cbrn-gateway`: thin; each file is one command."""

import importlib
import sys

import click

from cbrn_core.errors import CbrnError, ConfigError, PrerequisiteMissing

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_PREREQUISITE = 3

COMMANDS = {
    "demo": "a whole simulated square on this machine",
    "run": "the daemon",
    "check": "validate a site file without any input or output",
    "profiles": "list the instruments",
    "decode": "decode frames of an instrument",
    "replay": "the same pipeline in virtual time over a recording",
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
        cli(standalone_mode=False)
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
        sys.exit(EXIT_FAILED)


def _fail(error: CbrnError) -> None:
    click.echo(
        f"cbrn-gateway: {error}" if not isinstance(error, ConfigError) else str(error), err=True
    )
    if isinstance(error, ConfigError):
        sys.exit(EXIT_USAGE)
    sys.exit(EXIT_PREREQUISITE if isinstance(error, PrerequisiteMissing) else EXIT_FAILED)
