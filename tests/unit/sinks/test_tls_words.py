"""TLS faults in plain words, and the dates of a certificate; bytes may be anything."""

import ssl
from datetime import UTC, datetime

import pytest

from cbrn_core.errors import ConfigError
from cbrn_gateway.config.structs import InfluxTable, MqttTable
from cbrn_gateway.sinks import influx_settings, mqtt_settings
from cbrn_gateway.sinks.der import validity
from cbrn_gateway.sinks.tls import TlsFiles, explain


def element(tag: int, content: bytes) -> bytes:
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


def certificate(*times: bytes, version: bool = True) -> bytes:
    """Return the beginning of a certificate; RFC 5280 §4.1."""
    fields = element(0xA0, element(0x02, b"\x02")) if version else b""
    fields += element(0x02, b"\x01") + element(0x30, b"") + element(0x30, b"x" * 200)
    fields += element(0x30, b"".join(times)) + element(0x30, b"subject")
    return element(0x30, element(0x30, fields) + element(0x30, b""))


@pytest.mark.parametrize("version", [True, False])
def test_the_dates_of_a_certificate_are_read_in_both_forms(version):
    since = element(0x17, b"491231235959Z")
    until = element(0x18, b"20500101000000Z")
    assert validity(certificate(since, until, version=version)) == (
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2050, 1, 1, tzinfo=UTC),
    )
    assert validity(certificate(element(0x17, b"500101000000Z"), until))[0].year == 1950


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x30",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\xff",
        certificate(element(0x17, b"yesterday"), element(0x17, b"491231235959Z")),
        certificate(element(0x04, b"491231235959Z"), element(0x17, b"491231235959Z")),
        certificate(element(0x17, b"\xff\xfe"), element(0x17, b"491231235959Z")),
        certificate(),
        element(0x31, b"not a sequence"),
    ],
)
def test_what_is_no_certificate_is_a_value_error(octets):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever its words
        validity(octets)


def fault(code: int, message: str = "message") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    error.verify_message = message
    return error


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (10, "certificate of the broker expired on DAY2"),
        (9, "certificate of the broker is not valid before DAY1"),
        (23, "certificate of the broker is revoked"),
        (62, "certificate of the broker is for another host than h.example"),
        (64, "certificate of the broker is for another host than h.example"),
        (18, "certificate of the broker is not trusted: message"),
        (3, "certificate of the broker is of an authority without revocation list here"),
        (12, "certificate of the broker cannot be judged: the revocation list has expired"),
    ],
)
def test_each_fault_of_a_certificate_has_its_words(code, words):
    assert explain(fault(code), "the broker", "h.example", lambda: ("DAY1", "DAY2")) == words


def test_an_expired_certificate_is_told_as_such_also_where_its_day_is_not_known():
    told = explain(fault(10), "the broker", "h", lambda: None)
    assert told == "certificate of the broker expired on an earlier day"


def test_what_the_other_side_says_of_our_certificate_is_told():
    error = ssl.SSLError(1, "[SSL: SSLV3_ALERT_CERTIFICATE_REVOKED] alert certificate revoked")
    error.reason = "SSLV3_ALERT_CERTIFICATE_REVOKED"
    told = explain(error, "the broker", "h", lambda: None)
    assert told == "the broker refuses our certificate: certificate revoked"


def test_the_fault_is_found_behind_other_errors_and_nothing_else_is_one():
    outer = OSError("wrapped")
    outer.__cause__ = fault(23)
    assert explain(outer, "the broker", "h", lambda: None) == "certificate of the broker is revoked"
    assert explain(ConnectionRefusedError("no"), "the broker", "h", lambda: None) is None


def test_the_files_are_read_at_each_connection_not_before(tmp_path):
    ca_file = tmp_path / "ca.crt"
    table = MqttTable(url="mqtts://h", ca_file=str(ca_file))
    settings = mqtt_settings.settings_from_table(table, "gw-01", {})
    for content in (None, "not a certificate"):
        if content is not None:
            ca_file.write_text(content)
        with pytest.raises(ConfigError) as error:
            settings.tls_context()
        assert [problem.path for problem in error.value.problems] == ["mqtt.ca_file"]


def test_a_revocation_list_is_asked_for_the_certificate_itself(tmp_path):
    listed = tmp_path / "revoked.pem"
    listed.write_text("-----BEGIN CERTIFICATE-----\n-----BEGIN X509 CRL-----\n")
    with pytest.raises(ConfigError) as error:
        TlsFiles(crl_file=str(listed)).context("influx")
    assert str(error.value) == "influx.crl_file: not a revocation list in PEM"


def test_influx_has_the_same_rules():
    for table in (
        InfluxTable(url="http://h", cert_file="c"),
        InfluxTable(url="https://h", key_file="k"),
    ):
        with pytest.raises(ConfigError):
            influx_settings.settings_from_table(table, {})
    context = influx_settings.settings_from_table(InfluxTable(url="https://h"), {}).tls_context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_the_end_of_a_certificate_that_cannot_be_read_is_not_known(tmp_path):
    assert TlsFiles().own_end() is None
    assert TlsFiles(cert_file=str(tmp_path / "absent")).own_end() is None
    (tmp_path / "odd").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")
    assert TlsFiles(cert_file=str(tmp_path / "odd")).own_end() is None


def test_the_control_rooms_are_named_once_each():
    table = MqttTable(url="mqtt://h", socs=("a", "b", "a"))
    assert mqtt_settings.settings_from_table(table, "gw-01", {}).socs == ("a", "b")
