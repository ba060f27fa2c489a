import os

import pytest

from cbrn_core.errors import ConfigError
from cbrn_gateway.config.structs import InfluxTable, MqttTable
from cbrn_gateway.sinks import influx_settings, mqtt_settings
from cbrn_gateway.sinks.secret_files import read_secret


def mqtt(environment=None, **table):
    return mqtt_settings.settings_from_table(MqttTable(**table), "gw-01", environment or {})


def influx(environment=None, **table):
    return influx_settings.settings_from_table(InfluxTable(**table), environment or {})


def problem_paths(error):
    return [problem.path for problem in error.value.problems]


def test_an_mqtt_address_becomes_host_port_and_protocol():
    settings = mqtt(url="mqtt://broker.example")
    assert (settings.host, settings.port, settings.tls) == ("broker.example", 1883, False)
    assert settings.is_v5
    assert settings.client_id == "cbrn-gw-01"
    settings = mqtt(url="mqtts://[::1]:9000", protocol=311, client_id="me")
    assert (settings.host, settings.port, settings.tls) == ("::1", 9000, True)
    assert not settings.is_v5
    assert settings.client_id == "me"


@pytest.mark.parametrize(
    "url",
    [
        "broker",
        "http://broker",
        "mqtt://",
        "mqtt://h:99999",
        "mqtt://h:x",
        "mqtt://h/path",
        "mqtt://user:secret@h",
        "",
    ],
)
def test_a_bad_mqtt_address_is_a_config_error_that_names_the_key(url):
    with pytest.raises(ConfigError) as error:
        mqtt(url=url)
    assert problem_paths(error) == ["mqtt.url"]
    assert "secret" not in str(error.value) or "user:secret" not in str(error.value)


def test_tls_files_without_tls_are_an_error_not_a_silent_plain_connection():
    with pytest.raises(ConfigError):
        mqtt(url="mqtt://h", ca_file="ca.crt")


def test_a_key_without_its_certificate_is_an_error():
    with pytest.raises(ConfigError):
        mqtt(url="mqtts://h", key_file="k")


def test_missing_tls_files_are_named():
    with pytest.raises(ConfigError):
        mqtt(url="mqtts://h", ca_file="/nowhere/ca.crt").tls_context()
    assert mqtt(url="mqtt://h").tls_context() is None


def test_tls_verifies_the_broker_and_its_name():
    context = mqtt(url="mqtts://h").tls_context()
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


def test_secrets_come_from_a_file_or_the_environment(tmp_path):
    secret = tmp_path / "password"
    secret.write_text("hush hush\n")
    settings = mqtt(
        {"CBRN_MQTT_USERNAME": "gw", "CBRN_MQTT_PASSWORD": "other"},
        url="mqtt://h",
        password_file=str(secret),
    )
    assert (settings.username, settings.password) == ("gw", "hush hush")


def test_a_password_is_never_shown():
    settings = mqtt({"CBRN_MQTT_PASSWORD": "hush"}, url="mqtt://h")
    assert "hush" not in repr(settings)
    settings = influx({"CBRN_INFLUX_TOKEN": "hush"}, url="http://h")
    assert "hush" not in repr(settings)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * 20_000])
def test_a_useless_secret_file_is_a_config_error(tmp_path, content):
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_secret(str(path), "X", {}, "mqtt.password_file")
    assert problem_paths(error) == ["mqtt.password_file"]


def test_an_unreadable_secret_file_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError):
        read_secret(str(tmp_path / "absent"), "X", {}, "p")
    with pytest.raises(ConfigError):
        read_secret(os.fspath(tmp_path), "X", {}, "p")


def test_no_secret_at_all_is_none():
    assert read_secret(None, "X", {}, "p") is None
    assert read_secret(None, "X", {"X": ""}, "p") is None


def test_a_token_wins_over_user_and_password():
    both = {
        "CBRN_INFLUX_TOKEN": "token",
        "CBRN_INFLUX_USERNAME": "gw",
        "CBRN_INFLUX_PASSWORD": "pw",
    }
    settings = influx(both, url="http://h:8087/")
    assert (settings.credential, settings.is_basic) == ("token", False)
    assert settings.url == "http://h:8087"
    del both["CBRN_INFLUX_TOKEN"]
    settings = influx(both, url="http://h")
    assert (settings.credential, settings.is_basic) == ("gw:pw", True)


def test_half_a_login_is_a_config_error():
    with pytest.raises(ConfigError):
        influx({"CBRN_INFLUX_USERNAME": "gw"}, url="http://h")


@pytest.mark.parametrize("url", ["h:8086", "ftp://h", "http://", "http://u:p@h"])
def test_a_bad_influx_address_is_a_config_error(url):
    with pytest.raises(ConfigError) as error:
        influx(url=url)
    assert problem_paths(error) == ["influx.url"]
