"""A loaded site file: the resolved model, the policy, and what the sinks need."""

from pathlib import Path

import msgspec

from cbrn_core.site_model import SiteModel
from cbrn_gateway.alarms.actions_types import ApprovedPlay, Play
from cbrn_gateway.alarms.policy import Policy
from cbrn_gateway.alarms.render import Presentation
from cbrn_gateway.config.playbook import PlaybookTable
from cbrn_gateway.config.structs import InfluxTable, Language, MqttTable, StoreTable, WearerTable


class SiteConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one daemon runs on. Immutable.

    Attributes:
        path: the site file; paths in it start at its folder, those of secrets already do here.
        playbook: as written; `approved` is what follows from it, by play.
        config_trial_s: how long a new configuration has to prove itself in a running daemon.
        clock_kept_by_host: the kernel is not asked whether its clock is synchronised.
        own_profiles: texts of the site's own profiles that its devices name, by name.
        not_built: tables that are valid but that this version does not use yet.
    """

    path: Path
    data_dir: Path
    model: SiteModel
    policy: Policy
    config_trial_s: float = 60.0
    clock_kept_by_host: bool = False
    language: Language = Language.EN
    playbook: PlaybookTable | None = None
    approved: dict[Play, ApprovedPlay] = {}
    mqtt: MqttTable | None = None
    influx: InfluxTable | None = None
    store: StoreTable = StoreTable()
    own_profiles: dict[str, str] = {}
    wearers: tuple[WearerTable, ...] = ()
    not_built: tuple[str, ...] = ()

    @property
    def presentation(self) -> Presentation:
        """Return how this site's alerts are written."""
        return Presentation(language=self.language, approved=self.approved)
