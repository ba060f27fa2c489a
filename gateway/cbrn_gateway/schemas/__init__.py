"""JSON Schemas (Draft 2020-12) of every payload; generated, so that they cannot drift."""

from importlib.resources import files
from typing import Any

import msgspec


def load_schema(name: str) -> dict[str, Any]:
    """Return the committed schema of a payload, by its wire name ("cbrn-alert/1").

    Raises:
        FileNotFoundError: no such payload.
    """
    text = files(__name__).joinpath(file_name(name)).read_bytes()
    schema: dict[str, Any] = msgspec.json.decode(text)
    return schema


def file_name(name: str) -> str:
    """Return the file of a payload's schema: `cbrn-alert/1` lies in `cbrn-alert-1.json`."""
    return f"{name.replace('/', '-')}.json"
