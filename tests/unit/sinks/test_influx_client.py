from datetime import UTC, datetime

import aiohttp
import pytest
from influxdb_client.rest import ApiException

from cbrn_core.errors import DeliveryError, Disconnected, PoisonBatch, Refused, TransportError
from cbrn_gateway.sinks.influx_client import InfluxLink, TryLater
from cbrn_gateway.sinks.influx_settings import InfluxSettings

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


class Answer:
    """The write call of the library, with the answer a test wants."""

    def __init__(self, outcome) -> None:
        self.outcome = outcome
        self.record = None

    async def write(self, bucket, org, record):
        self.record = (bucket, org, record)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Response:
    def __init__(self, status, headers=None, body=b'{"error":"why"}') -> None:
        self.status = status
        self.reason = "reason"
        self.data = body
        self._headers = headers or {}

    def getheader(self, name, default=None):
        return self._headers.get(name, default)

    def getheaders(self):
        return self._headers


async def write(outcome):
    settings = InfluxSettings(url="http://127.0.0.1:1", credential="hush")
    async with InfluxLink(settings, settings.tls_context(), now=lambda: NOW) as link:
        answer = Answer(outcome)
        link._writer = answer
        await link.write([b"a v=1.0 1", b"b v=2.0 2"])
        return answer.record


@pytest.mark.asyncio
async def test_lines_are_sent_as_they_are():
    assert await write(True) == ("cbrn", "cbrn", b"a v=1.0 1\nb v=2.0 2")


@pytest.mark.asyncio
async def test_an_answer_that_is_not_204_stores_nothing():
    with pytest.raises(DeliveryError):
        await write(False)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, PoisonBatch),
        (413, PoisonBatch),
        (422, PoisonBatch),
        (401, Refused),
        (403, Refused),
        (404, Refused),
        (405, Refused),
        (429, TryLater),
        (500, TryLater),
        (502, TryLater),
        (503, TryLater),
        (302, DeliveryError),
    ],
)
async def test_each_status_has_its_meaning(status, error):
    with pytest.raises(error) as raised:
        await write(ApiException(http_resp=Response(status)))
    assert type(raised.value) is error
    assert "hush" not in str(raised.value)
    if error is Refused:
        assert raised.value.reason_code == status
    if error is TryLater:
        assert isinstance(raised.value, TransportError)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("wish", "seconds"),
    [
        ("17", 17.0),
        ("Mon, 01 Jun 2026 12:00:45 GMT", 45.0),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 0.0),
        ("999999999", 3600.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
async def test_retry_after_is_read_in_seconds_or_as_a_date(wish, seconds):
    headers = {} if wish is None else {"Retry-After": wish}
    with pytest.raises(TryLater) as busy:
        await write(ApiException(http_resp=Response(503, headers)))
    assert busy.value.retry_after_s == seconds


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "error",
    [aiohttp.ServerDisconnectedError(), TimeoutError(), ConnectionResetError(), OSError("no")],
)
async def test_a_broken_connection_is_a_transport_error(error):
    with pytest.raises(Disconnected):
        await write(error)


@pytest.mark.asyncio
async def test_a_reason_is_cut_and_may_be_any_bytes():
    with pytest.raises(PoisonBatch) as poison:
        await write(ApiException(http_resp=Response(400, body=b"\xff" * 10_000)))
    assert len(str(poison.value)) < 1000
