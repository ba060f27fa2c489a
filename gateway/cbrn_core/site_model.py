"""The resolved picture of one square: everything that the pipeline needs to know of it."""

import msgspec

from cbrn_core.channel import Channel, ChannelKey, Device
from cbrn_core.place import Site, Station, Zone


class SiteModel(msgspec.Struct, frozen=True, kw_only=True):
    """Immutable; a new configuration is a new model, swapped at a tick.

    `config_hash` excludes
    `data_dir` and the paths of secrets.
    """

    gateway: str
    city: str
    site: Site
    zones: dict[str, Zone]
    stations: dict[str, Station]
    devices: dict[str, Device]
    channels: dict[ChannelKey, Channel]
    config_hash: str
