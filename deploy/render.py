#!/usr/bin/env python3
"""Fill the `@NAME@` placeholders of a template (`*.in`) from a file of `NAME=value` lines.

    python3 deploy/render.py deploy/site.env deploy/mosquitto/mosquitto.conf.in > mosquitto.conf

Standard library only: it runs before anything of the gateway is installed.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

_PLACEHOLDER = re.compile(r"@([A-Z][A-Z0-9_]*)@")
_LINE = re.compile(r"([A-Z][A-Z0-9_]*)=(\S.*)")


def read_values(text: str) -> dict[str, str]:
    """Return the `NAME=value` lines; empty lines and those with `#` in front are skipped.

    Raises:
        ValueError: a line is neither; the message names it.
    """
    values = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"line {number} is not NAME=value: {line!r}")
        values[match[1]] = match[2]
    return values


def render(template: str, values: Mapping[str, str]) -> str:
    """Return the template with every placeholder filled.

    Raises:
        ValueError: placeholders without a value; the message names all of them.
    """
    missing = sorted(set(_PLACEHOLDER.findall(template)) - set(values))
    if missing:
        raise ValueError(f"no value for {', '.join(missing)}")
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def main(arguments: list[str]) -> int:
    """Render one template to standard output."""
    if len(arguments) != 2:
        sys.stderr.write("usage: render.py VALUES.env TEMPLATE.in > FILE\n")
        return 2
    try:
        values = read_values(Path(arguments[0]).read_text(encoding="utf-8"))
        sys.stdout.write(render(Path(arguments[1]).read_text(encoding="utf-8"), values))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"render.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
