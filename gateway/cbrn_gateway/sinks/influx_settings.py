"""What the connection to InfluxDB needs to know, with its secrets read."""

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from cbrn_core.errors import ConfigError, Problem
from cbrn_gateway.config.structs import InfluxTable
from cbrn_gateway.sinks.secret_files import read_secret
from cbrn_gateway.sinks.tls import TlsFiles

TOKEN_VARIABLE = "CBRN_INFLUX_TOKEN"  # noqa: S105 - the name of the variable
USERNAME_VARIABLE = "CBRN_INFLUX_USERNAME"
PASSWORD_VARIABLE = "CBRN_INFLUX_PASSWORD"  # noqa: S105 - the name of the variable


class InfluxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket; `is_basic` sends `credential` (user:password) as HTTP Basic for 1.x.

    Attributes:
        batch_rows, batch_bytes: most of one request.
        live_rows: how many of the newest lines are kept to be sent before a backlog.
    """

    url: str
    bucket: str = "cbrn"
    org: str = "cbrn"
    credential: str | None = None
    is_basic: bool = False
    files: TlsFiles = TlsFiles()
    timeout_s: float = 10.0
    batch_rows: int = 2_000
    batch_bytes: int = 512 * 1024
    live_rows: int = 2_000

    def __repr__(self) -> str:
        """Return the address and bucket, never the credential."""
        return f"InfluxSettings({self.url}, {self.bucket})"

    @property
    def is_tls(self) -> bool:
        """Return whether the address is https."""
        return self.url.startswith("https:")

    def tls_context(self) -> ssl.SSLContext:
        """Return the context that verifies the database; without TLS one that trusts nobody.

        Reads files: not on the event loop; anew for each connection.

        Raises:
            ConfigError: a file is missing or is not what it should be.
        """
        if not self.is_tls:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return self.files.context("influx")


def settings_from_table(table: InfluxTable, environment: Mapping[str, str]) -> InfluxSettings:
    """Return the settings that a site file's `[influx]` asks for.

    A token wins over user and password.

    Raises:
        ConfigError: the address is not http(s)://host[:port], carries a password, or a
            secret cannot be read or is half there.
    """
    problem = Problem("influx.url", f"{table.url!r} is not http(s)://host[:port]")
    try:
        parts = urlsplit(table.url)
        has_port = parts.port != 0
    except ValueError as error:
        raise ConfigError([problem]) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or not has_port:
        raise ConfigError([problem])
    if parts.username is not None or parts.password is not None:
        raise ConfigError([Problem("influx.url", "no user or password here: use the files")])
    files = TlsFiles(
        ca_file=table.ca_file,
        crl_file=table.crl_file,
        cert_file=table.cert_file,
        key_file=table.key_file,
    )
    if problems := files.problems("influx", is_tls=parts.scheme == "https", address="https://"):
        raise ConfigError(problems)
    token = read_secret(table.token_file, TOKEN_VARIABLE, environment, "influx.token_file")
    basic = None if token is not None else _user_and_password(table, environment)
    return InfluxSettings(
        url=table.url.rstrip("/"),
        bucket=table.bucket,
        org=table.org,
        credential=token if token is not None else basic,
        is_basic=basic is not None,
        files=files,
    )


def _user_and_password(table: InfluxTable, environment: Mapping[str, str]) -> str | None:
    username = read_secret(
        table.username_file, USERNAME_VARIABLE, environment, "influx.username_file"
    )
    password = read_secret(
        table.password_file, PASSWORD_VARIABLE, environment, "influx.password_file"
    )
    if (username is None) != (password is None):
        raise ConfigError([Problem("influx.username_file", "user and password go together")])
    return None if username is None else f"{username}:{password}"
