"""Secrets: from a file that only the daemon may read, or from the environment."""

from collections.abc import Mapping
from pathlib import Path

from cbrn_core.errors import ConfigError, Problem

_MOST_BYTES = 16_384


def read_secret(
    file: str | None, variable: str, environment: Mapping[str, str], path: str
) -> str | None:
    """Return the secret without its line end, None where neither source is given.

    A named file wins over the environment.

    Args:
        file: path of the secret's file.
        variable: name of the environment variable.
        environment: the process environment.
        path: where the file is named in the configuration, for the error.

    Raises:
        ConfigError: the file cannot be read, is empty, too large or not UTF-8.
    """
    if file is None:
        return environment.get(variable) or None
    try:
        with Path(file).open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
        text = raw.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigError([Problem(path, f"{file}: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(path, f"{file}: not UTF-8 text")]) from error
    if not text or len(raw) > _MOST_BYTES:
        raise ConfigError([Problem(path, f"{file}: empty, or more than {_MOST_BYTES} bytes")])
    return text
