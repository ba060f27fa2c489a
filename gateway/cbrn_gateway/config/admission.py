"""Which site files a daemon may run on, and as what."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from cbrn_core.errors import ConfigError, Problem
from cbrn_gateway.config.lint import unsigned_limits
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.config.tables import read_toml
from cbrn_gateway.config.wires import wire_problems

UNSIGNED = "a limit is not signed off by the city"
_RESTART = "cannot change while the daemon runs: end it, then start it with the new file"


def admitted(config: SiteConfig) -> SiteConfig:
    """Return the site as a daemon runs it: out of service while a limit lacks its signature.

    Raises:
        ConfigError: a wire that cannot be opened as configured.
    """
    problems = wire_problems(config)
    if problems:
        raise ConfigError(problems)
    if not unsigned_limits(config):
        return config
    site = msgspec.structs.replace(
        config.model.site, in_service=False, not_in_service_reason=UNSIGNED
    )
    model = msgspec.structs.replace(config.model, site=site)
    return msgspec.structs.replace(config, model=model)


def candidate(
    text: str, current: SiteConfig, own_profiles: Mapping[str, str] | None = None
) -> SiteConfig:
    """Return what a new text of the current site's file means, as the daemon would run it.

    Relative paths in it start at the folder of the site file, wherever it was read from;
    `own_profiles` (texts by name) stand for the profiles that lie there now.

    Raises:
        ConfigError: not a site file, or one that a running daemon cannot change to.
    """
    simulated = any(device.simulated for device in current.model.devices.values())
    site = parse_site(text, current.path, allow_simulated=simulated, own_profiles=own_profiles)
    config = admitted(site)
    problems = standing_problems(current, config)
    if problems:
        raise ConfigError(problems)
    return config


def read_candidate(path: Path, current: SiteConfig) -> SiteConfig:
    """Return what a file means as the next text of the current site's; as `candidate`."""
    return candidate(read_text(path), current)


def read_text(path: Path) -> str:
    """Return the text of a site file; raises ConfigError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError([Problem(str(path), f"cannot be read: {error}")]) from None


def standing_problems(current: SiteConfig, new: SiteConfig) -> list[Problem]:
    """Return what would have to change that stands for as long as a daemon runs."""
    pairs = {
        "gateway.id": (current.model.gateway, new.model.gateway),
        "gateway.city": (current.model.city, new.model.city),
        "gateway.data_dir": (current.data_dir.absolute(), new.data_dir.absolute()),
        "gateway.clock_kept_by_host": (current.clock_kept_by_host, new.clock_kept_by_host),
        "site.id": (current.model.site.id, new.model.site.id),
    }
    return [
        Problem(path, f"{before} → {after} {_RESTART}")
        for path, (before, after) in pairs.items()
        if before != after
    ]


def data_dir_of(path: Path) -> Path:
    """Return where the daemon of a site file keeps its files, whatever else is wrong with it.

    Raises:
        ConfigError: the file does not say so.
    """
    problems: list[Problem] = []
    raw = read_toml(path, str(path), problems) or {}
    gateway = raw.get("gateway")
    written = gateway.get("data_dir") if isinstance(gateway, dict) else None
    if not isinstance(written, str):
        raise ConfigError(problems or [Problem("gateway.data_dir", "this key is missing")])
    try:
        return path.parent / Path(written).expanduser()
    except RuntimeError as error:
        raise ConfigError([Problem("gateway.data_dir", str(error))]) from None
