"""Certificates of every kind of trouble, made by openssl from the authority of a test broker."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from e2e.servers import program

_CONFIGURATION = """
[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
certificate = ca.crt
private_key = ca.key
default_md = sha256
default_crl_days = 2
policy = any
copy_extensions = none
unique_subject = no
[any]
commonName = supplied
"""


class Authority:
    """The authority whose `ca.crt` and `ca.key` lie in a folder; issues and revokes there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl = program("openssl", "openssl")
        (folder / "ca.cnf").write_text(_CONFIGURATION)
        (folder / "index.txt").touch()
        (folder / "serial").write_text("1000\n")

    def issue(
        self,
        name: str,
        subject: str,
        *,
        host: str = "localhost",
        from_days: float = -1,
        until_days: float = 2,
    ) -> datetime:
        """Make `name`.crt and `name`.key, in place of what is there; return when it ends."""
        now = datetime.now(UTC).replace(microsecond=0)
        since, until = now + timedelta(days=from_days), now + timedelta(days=until_days)
        extensions = self.folder / "extensions.cnf"
        extensions.write_text(f"subjectAltName=DNS:{host}\n")
        self._run(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}"),
        )
        self._run(
            *("ca", "-batch", "-notext", "-config", "ca.cnf", "-in", f"{name}.csr"),
            *("-out", f"{name}.crt", "-extfile", extensions.name),
            *("-startdate", _asn1(since), "-enddate", _asn1(until)),
        )
        return until

    def revoke(self, name: str) -> None:
        """Revoke `name`.crt; a list made before does not know of it."""
        self._run("ca", "-config", "ca.cnf", "-revoke", f"{name}.crt")

    def list_revoked(
        self, name: str = "revoked.pem", *, from_days: float = -1, until_days: float = 1
    ) -> str:
        """Write the revocation list; return its path."""
        now = datetime.now(UTC)
        since, until = now + timedelta(days=from_days), now + timedelta(days=until_days)
        self._run(
            *("ca", "-config", "ca.cnf", "-gencrl", "-out", name),
            *("-crl_lastupdate", _asn1(since), "-crl_nextupdate", _asn1(until)),
        )
        return str(self.folder / name)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [self._openssl, *arguments], cwd=self.folder, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


def _asn1(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%SZ}"
