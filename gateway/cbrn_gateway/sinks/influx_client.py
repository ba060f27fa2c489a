"""The InfluxDB v2 write call: the only file that touches influxdb-client.

Its async client neither batches nor retries: exactly one request per call, raw bytes, so
that the spool alone decides what was delivered.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException

from cbrn_core.errors import (
    DeliveryError,
    Disconnected,
    PoisonBatch,
    Refused,
    TransportError,
)
from cbrn_gateway.sinks.influx_settings import InfluxSettings
from cbrn_gateway.sinks.tls import explain, peer_dates

_CONTENT_CODES = frozenset({400, 413, 422})
_BUSY_CODES = frozenset({408, 425, 429})
_LONGEST_REASON = 500
_LONGEST_WAIT_S = 3600.0
_HTTPS_PORT = 443
_TITLE = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)


class TryLater(TransportError):
    """The database is there but does not want us now; `retry_after_s` is its own wish."""

    def __init__(self, message: str, retry_after_s: float | None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class InfluxLink:
    """One client with its connections; make it on the event loop, use it with `async with`."""

    def __init__(
        self,
        settings: InfluxSettings,
        tls_context: ssl.SSLContext,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._now = now
        self._client = InfluxDBClientAsync(
            settings.url,
            token=settings.credential or "",
            org=settings.org,
            timeout=int(settings.timeout_s * 1000),
            auth_basic=settings.is_basic,
            ssl_context=tls_context,
            # a redirect would carry the credential to wherever it points
            allow_redirects=False,
        )
        self._writer = self._client.write_api()

    async def __aenter__(self) -> Self:
        """Return the link; connecting happens with the first write."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def write(self, lines: Sequence[bytes]) -> None:
        """Store the lines, times in ns; returning means that the database answered 204.

        Raises:
            PoisonBatch: at least one line is not acceptable; others may have been stored.
            Refused: not allowed, or the bucket is not there (401, 403, 404 and the like).
            TryLater: overloaded or failing (429, 5xx); may carry `retry_after_s`.
            Disconnected: no connection, or no answer in time.
            DeliveryError: an answer that means neither.
        """
        settings = self._settings
        try:
            stored = await self._writer.write(settings.bucket, settings.org, b"\n".join(lines))
        except ApiException as error:
            raise self._refusal(error) from error
        except (aiohttp.ClientError, TimeoutError, OSError, InfluxDBError) as error:
            raise Disconnected(await self._why(error)) from error
        if not stored:
            raise DeliveryError(f"{settings!r}: answered without storing")

    async def _why(self, error: Exception) -> str:
        """Return why nothing was stored, first what is wrong and then with whom."""
        if not self._settings.is_tls:
            return f"{error or type(error).__name__} ({self._settings!r})"
        address = urlsplit(self._settings.url)
        host, port = address.hostname or "", address.port or _HTTPS_PORT
        dates = partial(peer_dates, self._settings.files, host, port)
        why = await asyncio.to_thread(explain, error, "the database", host, dates)
        return f"{why or error or type(error).__name__} ({self._settings!r})"

    def _refusal(self, error: ApiException) -> DeliveryError | TransportError:
        code = int(error.status or 0)
        text = f"{code} {_reason(error)} ({self._settings!r})"
        if code in _CONTENT_CODES:
            return PoisonBatch(text)
        if code in _BUSY_CODES or code >= 500:
            return TryLater(text, self._retry_after_s(error))
        if 400 <= code < 500:
            return Refused(code, text)
        return DeliveryError(text)

    def _retry_after_s(self, error: ApiException) -> float | None:
        """Return the wish in seconds (RFC 9110 §10.2.3: seconds or a date)."""
        headers: Mapping[str, str] = getattr(error, "headers", None) or {}
        wish = headers.get("Retry-After")
        if wish is None:
            return None
        try:
            if wish.strip().isdigit():
                wait_s = float(wish)
            else:
                wait_s = (parsedate_to_datetime(wish) - self._now()).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
        return min(max(wait_s, 0.0), _LONGEST_WAIT_S)


def _reason(error: ApiException) -> str:
    body = error.body
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or error.reason)
    page = _TITLE.search(text[: 10 * _LONGEST_REASON])  # what a proxy in front says
    return (page[1] if page else text).strip()[:_LONGEST_REASON]
