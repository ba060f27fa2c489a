#!/usr/bin/env python3
"""Make database and users in a fresh InfluxDB 1.x that has auth-enabled = true.

    python3 deploy/influxdb/make_users.py http://127.0.0.1:8086 DATABASE SECRETS_DIR

admin (all rights), gateway (writes), grafana (reads). Random passwords, one file each in
SECRETS_DIR (mode 0600); files that are there are kept, so it may be run again.
"""

import base64
import json
import os
import re
import secrets
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

USERS = {"gateway": "WRITE", "grafana": "READ"}


def password_of(folder: Path, user: str) -> str:
    """Return the user's password, made and kept when there is none."""
    path = folder / f"influx-{user}.password"
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
    return path.read_text(encoding="utf-8").strip()


def ask(url: str, statement: str, credential: str | None) -> None:
    """Carry out one statement.

    Raises:
        RuntimeError: the database said no; the message is its own.
        OSError: it cannot be reached.
    """
    body = urllib.parse.urlencode({"q": statement}).encode()
    request = urllib.request.Request(f"{url}/query", data=body, method="POST")  # noqa: S310 - checked in main
    if credential is not None:
        basic = base64.b64encode(credential.encode()).decode()
        request.add_header("Authorization", f"Basic {basic}")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - as above
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            raise RuntimeError(error.read().decode("utf-8", "replace").strip()) from None
    errors = [result["error"] for result in answer.get("results", []) if "error" in result]
    if errors:
        raise RuntimeError("; ".join(errors))


def make_users(url: str, database: str, folder: Path) -> None:
    """Make admin, database and users."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    admin = password_of(folder, "admin")
    as_admin = f"admin:{admin}"
    # the first user may be made without a password; repeating the same one is no error
    try:
        ask(url, f"CREATE USER admin WITH PASSWORD '{admin}' WITH ALL PRIVILEGES", None)
    except RuntimeError:
        ask(url, "SHOW DATABASES", as_admin)
    ask(url, f'CREATE DATABASE "{database}"', as_admin)
    for user, right in USERS.items():
        password = password_of(folder, user)
        ask(url, f"CREATE USER {user} WITH PASSWORD '{password}'", as_admin)
        ask(url, f'GRANT {right} ON "{database}" TO {user}', as_admin)


def main(arguments: list[str]) -> int:
    """Run with (URL, DATABASE, SECRETS_DIR)."""
    usable = (
        len(arguments) == 3
        and arguments[0].startswith(("http://", "https://"))
        and re.fullmatch(r"[A-Za-z0-9_-]+", arguments[1]) is not None
    )
    if not usable:
        sys.stderr.write("usage: make_users.py URL DATABASE SECRETS_DIR\n")
        return 2
    try:
        make_users(arguments[0].rstrip("/"), arguments[1], Path(arguments[2]))
    except (OSError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"make_users.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
