"""The InfluxDB v2 write call: the only file that touches influxdb-client.

Its async client neither batches nor retries: exactly one request per call, raw bytes, so
that the spool alone decides what was delivered.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import aiohttp
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException

from cbrn_core.errors import (
    ConfigError,
    DeliveryError,
    Disconnected,
    PoisonBatch,
    Problem,
    Refused,
    TransportError,
)
from cbrn_gateway.sinks.influx_settings import InfluxSettings

_CONTENT_CODES = frozenset({400, 413, 422})
_BUSY_CODES = frozenset({408, 425, 429})
_LONGEST_REASON = 500
_LONGEST_WAIT_S = 3600.0


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
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._now = now
        try:
            self._client = InfluxDBClientAsync(
                settings.url,
                token=settings.credential or "",
                org=settings.org,
                timeout=int(settings.timeout_s * 1000),
                auth_basic=settings.is_basic,
                ssl_ca_cert=settings.ca_file,
                # a redirect would carry the credential to wherever it points
                allow_redirects=False,
            )
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([Problem("influx.ca_file", str(error))]) from error
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
            raise Disconnected(f"{settings!r}: {error or type(error).__name__}") from error
        if not stored:
            raise DeliveryError(f"{settings!r}: answered without storing")

    def _refusal(self, error: ApiException) -> DeliveryError | TransportError:
        code = int(error.status or 0)
        text = f"{self._settings!r} answered {code}: {_reason(error)}"
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
    return text.strip()[:_LONGEST_REASON]
