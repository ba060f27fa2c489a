"""What a demo leaves behind: `alerts.jsonl` and the picture of the square."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self

from cbrn_core.errors import ConfigError, Problem
from cbrn_core.site_model import SiteModel
from cbrn_gateway.demo.picture.gather import scene_of
from cbrn_gateway.demo.picture.page import square_picture
from cbrn_gateway.demo.tally import Tally
from cbrn_sim.square_sim import SimulatedSquare

ALERTS_NAME = "alerts.jsonl"
PICTURE_NAME = "square.svg"


class Output:
    """The folder of one run; a disk that fails later costs the file, never the run."""

    def __init__(self, folder: Path, *, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn = warn
        self._alerts: IO[str] | None = None
        self._failed = False

    def __enter__(self) -> Self:
        """Make the folder and begin `alerts.jsonl` anew.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._alerts = (self._folder / ALERTS_NAME).open("w", encoding="utf-8")
        except OSError as error:
            raise ConfigError([Problem("--out", f"{self._folder}: {error.strerror}")]) from error
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        if self._alerts is not None:
            self._alerts.close()

    def add_alert(self, alert: dict[str, Any]) -> None:
        """Append one version of an alarm."""
        if self._alerts is None or self._failed:
            return
        try:
            self._alerts.write(json.dumps(alert, ensure_ascii=False) + "\n")
            self._alerts.flush()
        except OSError as error:
            self._fail(error)

    def picture(self, model: SiteModel, square: SimulatedSquare, tally: Tally) -> list[str]:
        """Draw the square as it is now; return the lines that say where it is."""
        path = self._folder / PICTURE_NAME
        try:
            path.write_text(square_picture(scene_of(model, square, tally)), encoding="utf-8")
        except OSError as error:
            self._fail(error)
            return []
        return [f"picture of the square: {path}"]

    def said(self) -> list[str]:
        """Return the line that says where the alerts are."""
        return [] if self._failed else [f"all alert versions: {self._folder / ALERTS_NAME}"]

    def _fail(self, error: OSError) -> None:
        self._failed = True
        self._warn(f"{self._folder} cannot be written: {error.strerror or error}")
