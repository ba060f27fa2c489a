"""What an MQTT connection needs to know, with its secrets read."""

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from cbrn_core.errors import ConfigError, Problem
from cbrn_gateway.config.structs import MqttTable
from cbrn_gateway.sinks.secret_files import read_secret

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
        live_interval_s: how long live values are collected into one message.
    """

    host: str
    port: int
    client_id: str
    is_v5: bool = True
    tls: bool = False
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    keepalive_s: int = 15
    connect_timeout_s: float = 5.0
    puback_timeout_s: float = 10.0
    will_delay_s: int = 5
    session_expiry_s: int = 60
    refused_retry_s: float = 30.0
    live_interval_s: float = 0.25
    live_expiry_s: int = 30
    status_period_s: float = 60.0

    def __repr__(self) -> str:
        """Return the broker and the client, never the password."""
        return f"MqttSettings({self.client_id}@{self.host}:{self.port})"

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the context that verifies the broker, None without TLS.

        There is no way to switch the verification off. Reads files: call it once, before
        the event loop is busy.

        Raises:
            ConfigError: a file is missing or is not what it should be.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([Problem("mqtt.ca_file, cert_file, key_file", str(error))]) from error
        return context


def settings_from_table(
    table: MqttTable, gateway: str, environment: Mapping[str, str]
) -> MqttSettings:
    """Return the settings that a site file's `[mqtt]` asks for.

    Raises:
        ConfigError: the address is not mqtt://host[:port] or mqtts://…, carries a password,
            names TLS files without TLS, or a secret cannot be read.
    """
    scheme, host, port = _split_url(table.url)
    if scheme == "mqtt" and (table.ca_file or table.cert_file or table.key_file):
        raise ConfigError([Problem("mqtt.url", "TLS files are given: write mqtts://")])
    if table.key_file is not None and table.cert_file is None:
        raise ConfigError([Problem("mqtt.key_file", "a key without cert_file")])
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
        ca_file=table.ca_file,
        cert_file=table.cert_file,
        key_file=table.key_file,
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
