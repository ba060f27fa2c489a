"""TLS of the sinks: always verified, files read anew for each connection, faults in plain words."""

import re
import socket
import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from cbrn_core.errors import ConfigError, Problem
from cbrn_gateway.sinks.der import validity

PEER_TIMEOUT_S = 5.0
_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", flags=re.DOTALL
)
_LIST_MARK = b"-----BEGIN X509 CRL-----"
_CERTIFICATE_MARK = b"CERTIFICATE-----"

# openssl/x509_vfy.h; Python hands the number on as `verify_code`
_NO_LIST, _NOT_YET, _EXPIRED, _LIST_EXPIRED, _REVOKED = 3, 9, 10, 12, 23
_OTHER_HOST, _OTHER_ADDRESS = 62, 64
_VERDICTS = {
    _NOT_YET: "is not valid before {since}",
    _EXPIRED: "expired on {until}",
    _REVOKED: "is revoked",
    _OTHER_HOST: "is for another host than {host}",
    _OTHER_ADDRESS: "is for another host than {host}",
    _NO_LIST: "is of an authority without revocation list here",
    _LIST_EXPIRED: "cannot be judged: the revocation list has expired",
}
_DATED = frozenset({_NOT_YET, _EXPIRED})
_ALERT = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_ALERT_(\w+)")

_NO_FAULT = (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of one link: authority, revocation list, own certificate and its key."""

    ca_file: str | None = None
    crl_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def context(self, table: str) -> ssl.SSLContext:
        """Return a context that verifies the other side; there is no way to switch that off.

        Reads the files: not on the event loop. `table` names them in the error.

        Raises:
            ConfigError: a file is missing or is not what it should be.
        """
        key = "ca_file"
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            key = "crl_file"
            if self.crl_file is not None:
                _add_revocations(context, self.crl_file)
            key = "cert_file, key_file"
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError([Problem(f"{table}.{key}", reason)]) from error
        return context

    def own_end(self) -> datetime | None:
        """Return when the own certificate ends, None where there is none that can be read."""
        if self.cert_file is None:
            return None
        try:
            text = Path(self.cert_file).read_text(encoding="ascii", errors="replace")
            return _validity_of_pem(text)[1]
        except (OSError, ValueError):
            return None

    def problems(self, table: str, *, is_tls: bool, address: str) -> list[Problem]:
        """Return what does not belong together; touches no file."""
        named = any(getattr(self, name) is not None for name in self.__struct_fields__)
        if named and not is_tls:
            return [Problem(f"{table}.url", f"TLS files are given: write {address}")]
        if self.key_file is not None and self.cert_file is None:
            return [Problem(f"{table}.key_file", "a key without cert_file")]
        return []


def explain(
    error: BaseException, who: str, host: str, dates: Callable[[], tuple[str, str] | None]
) -> str | None:
    """Return in plain words why TLS with `who` at `host` failed, None where it was not TLS.

    `dates` returns from when until when the other side's certificate is valid; it may
    ask it, so not on the event loop.
    """
    # aiohttp's own error is an SSLError too, but an empty one: the real one hangs on it
    fault: BaseException | None = getattr(error, "certificate_error", error)
    while fault is not None and not isinstance(fault, ssl.SSLError):
        fault = fault.__cause__ or fault.__context__
    if fault is None:
        return None
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"certificate of {who} {_verdict(fault, host, dates)}"
    alert = _ALERT.search(str(fault.reason or fault))
    if alert is not None:
        return f"{who} refuses our certificate: {alert[1].lower().replace('_', ' ')}"
    return f"no TLS with {who}: {fault.reason or fault}"


def telling_socket(tell: Callable[[ssl.SSLError], None]) -> type[ssl.SSLSocket]:
    """Return a socket class that tells why TLS failed: paho throws the reason away."""

    class TellingSocket(ssl.SSLSocket):
        """Closes itself when the handshake fails: paho would leave that to the collector."""

        def do_handshake(self, block: bool = False) -> None:
            """Shake hands, or close and raise."""
            try:
                super().do_handshake(block)
            except ssl.SSLError as error:
                tell(error)
                self.close()
                raise
            except BaseException:
                self.close()
                raise

        def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
            """Receive; with TLS 1.3 the other side judges our certificate after the handshake."""
            try:
                return super().recv(buflen, flags)
            except _NO_FAULT:
                raise
            except ssl.SSLError as error:
                tell(error)
                raise

    return TellingSocket


def peer_dates(files: TlsFiles, host: str, port: int) -> tuple[str, str] | None:
    """Return from which day until which day the other side's certificate is valid.

    It shakes hands once more without judging, says nothing and leaves; None where that
    fails. Blocks up to 10 s.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent or believed on this connection
    try:
        if files.cert_file is not None:
            context.load_cert_chain(files.cert_file, files.key_file)
        with (
            socket.create_connection((host, port), PEER_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            since, until = validity(wrapped.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError):
        return None
    return f"{since:%Y-%m-%d %H:%M}Z", f"{until:%Y-%m-%d %H:%M}Z"


def _verdict(
    fault: ssl.SSLCertVerificationError, host: str, dates: Callable[[], tuple[str, str] | None]
) -> str:
    code = fault.verify_code
    template = _VERDICTS.get(code)
    if template is None:
        return f"is not trusted: {fault.verify_message}"
    known = dates() if code in _DATED else None
    since, until = known or ("a later day", "an earlier day")
    return template.format(host=host, since=since, until=until)


def _add_revocations(context: ssl.SSLContext, crl_file: str) -> None:
    content = Path(crl_file).read_bytes()
    # a certificate in this file would become an authority
    if _LIST_MARK not in content or _CERTIFICATE_MARK in content:
        raise ValueError("not a revocation list in PEM")
    context.load_verify_locations(cadata=None, cafile=crl_file)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


def _validity_of_pem(text: str) -> tuple[datetime, datetime]:
    block = _CERTIFICATE.search(text)
    if block is None:
        raise ValueError("no certificate in PEM")
    return validity(ssl.PEM_cert_to_DER_cert(block[0]))
