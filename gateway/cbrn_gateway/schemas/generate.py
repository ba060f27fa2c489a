"""Writes the JSON Schemas from the types: `python -m cbrn_gateway.schemas.generate`."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from cbrn_core.reading import Quality
from cbrn_core.units import Unit
from cbrn_gateway.schemas import file_name
from cbrn_gateway.sinks.payloads import (
    CanaryMessage,
    CoverageMessage,
    EstimatesMessage,
    LogPageMessage,
    ReadingRow,
    ReadingsMessage,
    StatusMessage,
)
from cbrn_gateway.wire import (
    AlertFeature,
    AnswerMessage,
    AssayMessage,
    CommandMessage,
    JournalEvent,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"
READING_LINE = "cbrn-reading/1"

PAYLOADS: Mapping[str, type[msgspec.Struct]] = {
    "cbrn-alert/1": AlertFeature,
    "cbrn-answer/1": AnswerMessage,
    "cbrn-assay/1": AssayMessage,
    "cbrn-canary/1": CanaryMessage,
    "cbrn-command/1": CommandMessage,
    "cbrn-coverage/1": CoverageMessage,
    "cbrn-estimate/1": EstimatesMessage,
    "cbrn-journal/1": JournalEvent,
    "cbrn-log-page/1": LogPageMessage,
    READING_LINE: ReadingRow,
    "cbrn-readings/1": ReadingsMessage,
    "cbrn-status/1": StatusMessage,
}
"""By wire name; a line of a recording carries no `schema` of its own."""

_ROWS = ("ReadingRow", "EstimateRow")


def generate(name: str) -> dict[str, Any]:
    """Return the JSON Schema of one payload.

    Raises:
        KeyError: no such payload.
    """
    kind = PAYLOADS[name]
    schema = msgspec.json.schema(kind)
    definitions: dict[str, Any] = schema["$defs"]
    top = definitions[kind.__name__]["properties"]
    if "schema" in top:
        top["schema"] = {"const": name}
    for row in _ROWS:
        if row in definitions:
            _narrow(definitions[row])
    return {"$schema": DIALECT, "$id": f"urn:{name.replace('/', ':')}", "title": name} | schema


def encode(schema: Mapping[str, Any]) -> bytes:
    """Return a schema as it lies in its file."""
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"


def write(folder: Path) -> list[Path]:
    """Write every schema into a folder; return the files."""
    written = []
    for name in PAYLOADS:
        path = folder / file_name(name)
        path.write_bytes(encode(generate(name)))
        written.append(path)
    return written


def _narrow(row: dict[str, Any]) -> None:
    """Say which words a row's text fields may hold; an absent quality means good."""
    row["properties"]["unit"] = _words(Unit)
    row["properties"]["quality"] = _words(Quality) | {"default": Quality.GOOD.value}
    row["required"] = [field for field in row["required"] if field != "quality"]


def _words(kind: type[StrEnum]) -> dict[str, Any]:
    return {"enum": [member.value for member in kind]}


if __name__ == "__main__":
    write(Path(__file__).parent)
