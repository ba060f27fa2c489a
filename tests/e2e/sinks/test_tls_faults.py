"""Certificates that are wrong, on either side: refused, told plainly, mended without hands."""

import asyncio

import pytest
from e2e.certificates import Authority
from e2e.servers import GATEWAY_USER, Mosquitto

from cbrn_core.errors import ConfigError, ConnectFailed
from cbrn_gateway.config.structs import MqttTable
from cbrn_gateway.sinks.mqtt_client import MqttLink, Outgoing
from cbrn_gateway.sinks.mqtt_settings import settings_from_table

pytestmark = pytest.mark.needs_mosquitto

STATUS = "cbrn/v1/harbour-city/gateway/gw-01/status"
WILL = Outgoing(topic=STATUS, payload=b"{}", qos=1)


@pytest.fixture
def stopped_broker(tmp_path):
    server = Mosquitto(tmp_path / "mosquitto")
    yield server
    server.stop()


@pytest.fixture
def authority(stopped_broker):
    return Authority(stopped_broker.folder / "tls")


async def connect(broker, **files) -> int:
    """Connect as the gateway does at each try; return the reason code of one publish."""
    named = {"ca_file": "ca.crt", "cert_file": "gw-01.crt", "key_file": "gw-01.key"} | files
    paths = {key: broker.tls_file(name) for key, name in named.items()}
    settings = settings_from_table(MqttTable(url=broker.tls_url(), **paths), "gw-01", {})
    context = await asyncio.to_thread(settings.tls_context)
    async with MqttLink(settings, WILL, context) as link:
        return await link.publish(WILL)


async def refusal(broker, **files) -> str:
    with pytest.raises(ConnectFailed) as error:
        await connect(broker, **files)
    return str(error.value)


@pytest.mark.asyncio
async def test_a_brokers_certificate_that_expired_is_refused_with_its_date(
    stopped_broker, authority
):
    until = authority.issue("broker", "localhost", from_days=-9, until_days=-3)
    stopped_broker.start()
    told = await refusal(stopped_broker)
    assert told.startswith(f"certificate of the broker expired on {until:%Y-%m-%d %H:%M}Z")


@pytest.mark.asyncio
async def test_a_brokers_certificate_that_is_not_yet_valid_is_refused_with_its_date(
    stopped_broker, authority
):
    authority.issue("broker", "localhost", from_days=3, until_days=9)
    stopped_broker.start()
    told = await refusal(stopped_broker)
    assert told.startswith("certificate of the broker is not valid before 20")


@pytest.mark.asyncio
async def test_a_certificate_of_another_host_is_refused(stopped_broker, authority):
    authority.issue("broker", "elsewhere", host="elsewhere.example")
    stopped_broker.start()
    told = await refusal(stopped_broker)
    assert told.startswith("certificate of the broker is for another host than localhost")


@pytest.mark.asyncio
async def test_a_revoked_certificate_is_refused_once_the_list_says_so(stopped_broker, authority):
    authority.issue("broker", "localhost")
    authority.list_revoked()
    stopped_broker.start()
    assert await connect(stopped_broker, crl_file="revoked.pem") in {0, 16}
    authority.revoke("broker")
    authority.list_revoked()
    told = await refusal(stopped_broker, crl_file="revoked.pem")
    assert told.startswith("certificate of the broker is revoked")


@pytest.mark.asyncio
async def test_a_revocation_list_that_is_old_lets_nobody_in(stopped_broker, authority):
    authority.issue("broker", "localhost")
    authority.list_revoked(from_days=-9, until_days=-3)
    stopped_broker.start()
    told = await refusal(stopped_broker, crl_file="revoked.pem")
    assert "the revocation list has expired" in told


@pytest.mark.asyncio
async def test_a_certificate_that_replaces_the_expired_one_is_taken_without_hands(
    stopped_broker, authority
):
    authority.issue("gw-01", GATEWAY_USER, from_days=-9, until_days=-3)
    stopped_broker.start()
    told = await refusal(stopped_broker)
    assert told.startswith("the broker refuses our certificate: certificate expired")
    authority.issue("gw-01", GATEWAY_USER)
    assert await connect(stopped_broker) in {0, 16}


@pytest.mark.asyncio
async def test_our_certificate_that_the_broker_knows_as_revoked_is_told_as_such(
    stopped_broker, authority
):
    authority.issue("gw-01", GATEWAY_USER)
    authority.revoke("gw-01")
    listed = authority.list_revoked()
    path = stopped_broker.folder / "mosquitto.conf"
    path.write_text(f"{path.read_text()}crlfile {listed}\n")
    stopped_broker.start()
    told = await refusal(stopped_broker)
    assert told.startswith("the broker refuses our certificate: certificate revoked")


@pytest.mark.asyncio
async def test_a_list_that_would_add_an_authority_is_no_list(stopped_broker):
    with pytest.raises(ConfigError) as error:
        await connect(stopped_broker, crl_file="ca.crt")
    assert [problem.path for problem in error.value.problems] == ["mqtt.crl_file"]


@pytest.mark.asyncio
async def test_without_a_certificate_of_our_own_the_broker_does_not_let_us_in(stopped_broker):
    stopped_broker.start()
    settings = settings_from_table(
        MqttTable(url=stopped_broker.tls_url(), ca_file=stopped_broker.tls_file("ca.crt")),
        "gw-01",
        {},
    )
    with pytest.raises(ConnectFailed) as error:
        async with MqttLink(settings, WILL, settings.tls_context()):
            pass
    assert "refuses our certificate" in str(error.value)
