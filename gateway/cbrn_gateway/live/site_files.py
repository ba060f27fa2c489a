"""The files that the next start begins with: the site file and the site's own profiles."""

import logging
from pathlib import Path

from cbrn_core.errors import ConfigError
from cbrn_gateway.config.admission import read_text
from cbrn_gateway.config.own_profiles import FOLDER
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.config.versions import write_whole

_LOG = logging.getLogger(__name__)


class SiteFiles:
    """Lets the next start begin with what is in force, unless somebody edits the files.

    `were_read` says what came from them; what stands there besides is somebody's work.
    """

    def __init__(self, site_file: Path) -> None:
        self._site_file = site_file
        self._known: dict[Path, str] = {}

    def read(self) -> str:
        """Return the text of the site file; raises ConfigError where it cannot be read."""
        return read_text(self._site_file)

    def were_read(self, site_text: str | None, config: SiteConfig) -> None:
        """Note what a configuration was made from; None where its text came from elsewhere."""
        if site_text is not None:
            self._known[self._site_file] = site_text
        self._known |= self._profiles(config)

    def write(self, site_text: str, config: SiteConfig) -> None:
        """Bring the files to what is in force; blocks, never raises."""
        for path, text in {**self._profiles(config), self._site_file: site_text}.items():
            try:
                self._write(path, text)
            except (ConfigError, OSError) as error:
                _LOG.warning("the next start begins with the old configuration: %s", error)

    def _write(self, path: Path, text: str) -> None:
        is_profile = path != self._site_file
        if not is_profile or path.exists():
            written = read_text(path)
            if written == text:
                return
            if written != self._known.get(path):
                _LOG.warning("%s was edited meanwhile: the next start begins with it", path)
                return
        path.parent.mkdir(exist_ok=True)
        write_whole(path, text.encode())
        self._known[path] = text

    def _profiles(self, config: SiteConfig) -> dict[Path, str]:
        folder = self._site_file.parent / FOLDER
        return {folder / f"{name}.toml": text for name, text in config.own_profiles.items()}
