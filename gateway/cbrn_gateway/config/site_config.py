"""A loaded site file: the resolved model, the policy, and what the sinks need."""

from pathlib import Path

import msgspec

from cbrn_core.site_model import SiteModel
from cbrn_gateway.alarms.policy import Policy
from cbrn_gateway.config.structs import InfluxTable, Language, MqttTable, StoreTable, WearerTable


class SiteConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one daemon runs on. Immutable.

    Attributes:
        path: the site file; relative paths in it start at its folder.
        not_built: tables that are valid but that this version does not use yet.
    """

    path: Path
    data_dir: Path
    model: SiteModel
    policy: Policy
    language: Language = Language.EN
    mqtt: MqttTable | None = None
    influx: InfluxTable | None = None
    store: StoreTable = StoreTable()
    wearers: tuple[WearerTable, ...] = ()
    not_built: tuple[str, ...] = ()

    def beside(self, name: str) -> Path:
        """Return a path of the site file, relative ones from its folder."""
        return self.path.parent / Path(name).expanduser()
