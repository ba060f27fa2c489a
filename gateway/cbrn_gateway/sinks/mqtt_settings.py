"""What an MQTT connection needs to know, with its secrets read."""

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from cbrn_core.errors import ConfigError, Problem
from cbrn_gateway.config.structs import MqttTable
from cbrn_gateway.sinks.secret_files import read_secret
from cbrn_gateway.sinks.tls import TlsFiles

USERNAME_VARIABLE = "CBRN_MQTT_USERNAME"
PASSWORD_VARIABLE = "CBRN_MQTT_PASSWORD"  # noqa: S105 - the name of the variable
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class MqttSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One broker, one identity.

    Attributes:
        client_id: the same at every connection: the broker then ends the old connection
            before it takes the new one, so nothing sent on the old can arrive later.
        puback_timeout_s: after this the outcome of a publish is unknown.
        will_delay_s: how long a silent gateway is not yet called offline (MQTT 5).
        session_expiry_s: how long the broker keeps commands for us (MQTT 5).
        refused_retry_s: how long a refused topic rests.
        live_interval_s: how long live values are collected beyond the turn that gathered them.
        lasting_s: a connection that answers after so long has come to stay.
        socs: the control rooms whose path is proven.
    """

    host: str
    port: int
    client_id: str
    is_v5: bool = True
    tls: bool = False
    username: str | None = None
    password: str | None = None
    files: TlsFiles = TlsFiles()
    socs: tuple[str, ...] = ()
    keepalive_s: int = 15
    connect_timeout_s: float = 5.0
    puback_timeout_s: float = 10.0
    will_delay_s: int = 5
    session_expiry_s: int = 60
    refused_retry_s: float = 30.0
    live_interval_s: float = 0.0
    live_expiry_s: int = 30
    status_period_s: float = 60.0
    lasting_s: float = 10.0

    def __repr__(self) -> str:
        """Return the broker and the client, never the password."""
        return f"MqttSettings({self.client_id}@{self.host}:{self.port})"

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the context that verifies the broker, None without TLS.

        Reads files: not on the event loop; anew for each connection.

        Raises:
            ConfigError: a file is missing or is not what it should be.
        """
        return self.files.context("mqtt") if self.tls else None


def settings_from_table(
    table: MqttTable, gateway: str, environment: Mapping[str, str]
) -> MqttSettings:
    """Return the settings that a site file's `[mqtt]` asks for.

    Raises:
        ConfigError: the address is not mqtt://host[:port] or mqtts://…, carries a password,
            names TLS files without TLS, or a secret cannot be read.
    """
    scheme, host, port = _split_url(table.url)
    files = TlsFiles(
        ca_file=table.ca_file,
        crl_file=table.crl_file,
        cert_file=table.cert_file,
        key_file=table.key_file,
    )
    if problems := files.problems("mqtt", is_tls=scheme == "mqtts", address="mqtts://"):
        raise ConfigError(problems)
    return MqttSettings(
        host=host,
        port=port,
        client_id=table.client_id or f"cbrn-{gateway}"[:64],
        is_v5=table.protocol == 5,
        tls=scheme == "mqtts",
        username=read_secret(
            table.username_file, USERNAME_VARIABLE, environment, "mqtt.username_file"
        ),
        password=read_secret(
            table.password_file, PASSWORD_VARIABLE, environment, "mqtt.password_file"
        ),
        files=files,
        socs=tuple(dict.fromkeys(table.socs)),
    )


def _split_url(url: str) -> tuple[str, str, int]:
    problem = Problem("mqtt.url", f"{url!r} is not mqtt://host[:port] or mqtts://host[:port]")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError([problem]) from error
    if parts.username is not None or parts.password is not None:
        raise ConfigError([Problem("mqtt.url", "no user or password here: use the files")])
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/"):
        raise ConfigError([problem])
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]
