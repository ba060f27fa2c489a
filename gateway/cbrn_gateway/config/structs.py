"""The tables of a site file; unknown keys are errors, secrets come only from files."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from cbrn_core.channel import Background, Grade, Technology
from cbrn_core.place import Position, Surroundings
from cbrn_core.quantities import Quantity
from cbrn_core.units import Unit
from cbrn_gateway.alarms.signatures import Signature
from cbrn_gateway.config.tables import Table, Words

Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
FilePath = Annotated[
    str, msgspec.Meta(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f]*$")
]
Seconds = Annotated[float, msgspec.Meta(ge=0.001, le=31_536_000)]
"""A duration: at least a millisecond, at most a year."""


class GatewayTable(Table, frozen=True):
    """Who this gateway is and where it keeps its files.

    `config_trial_s`: how long a new configuration has to prove itself in a running daemon.
    `clock_kept_by_host`: a hypervisor or host keeps this machine's clock right, so that its
    kernel is not asked whether it is synchronised.
    """

    id: Id
    city: Id
    data_dir: FilePath
    config_trial_s: Seconds = 60.0
    clock_kept_by_host: bool = False


class CordonTable(Table, frozen=True):
    """The city's own standing cordon in metres, used where no area may be drawn."""

    chemical: Positive | None = None
    biological: Positive | None = None
    radiological: Positive | None = None


class Language(StrEnum):
    """Language of the texts for people."""

    EN = "en"
    NB = "nb"
    IT = "it"


class SiteTable(Table, frozen=True):
    """The square."""

    id: Id
    name: Words | None = None
    timezone: str = "UTC"
    language: Language = Language.EN
    in_service: bool = False
    not_in_service_reason: Words | None = None
    surroundings: Surroundings = Surroundings.CANYON
    standing_cordon_m: CordonTable = CordonTable()


class ZoneTable(Table, frozen=True):
    """Part of the square; polygon of [lon, lat]."""

    id: Id
    name: Words | None = None
    polygon: tuple[tuple[float, float], ...] = ()


class StationTable(Table, frozen=True):
    """A pole, box or person with instruments."""

    id: Id
    name: Words | None = None
    zone: Id | None = None
    position: Position | None = None
    mobile: bool = False


class ChannelTable(Table, frozen=True):
    """What the site knows better than the profile, or all of an external channel."""

    id: Id
    quantity: Quantity | None = None
    unit: Unit | None = None
    technology: Technology | None = None
    t90_s: Seconds | None = None
    tau_rise_s: Seconds | None = None
    tau_fall_s: Seconds | None = None
    sigma: Positive | None = None
    range: tuple[float, float] | None = None
    resolution: NotNegative | None = None
    lod: Positive | None = None
    period_s: Seconds | None = None
    stale_after_s: Seconds | None = None
    counting: bool | None = None
    usv_h_per_cps: Positive | None = None
    background: Background | None = None
    also_answers_to: dict[Quantity, float] | None = None


class DeviceTable(Table, frozen=True):
    """What every device says; the rest of its table are the driver's own options."""

    id: Id
    station: Id
    driver: str
    grade: Grade | None = None
    period_s: Seconds | None = None
    simulated: bool = False
    channel: tuple[ChannelTable, ...] = ()


class WearerTable(Table, frozen=True):
    """A person under a pseudonym; limits and protection are set at run time."""

    pseudonym: Id
    devices: tuple[Id, ...] = ()
    role: str | None = None


class AlarmsTable(Table, frozen=True):
    """Which alarm policy applies, what the city overrides in it, and what it signed off."""

    policy: str = "default-1"
    jurisdiction: str | None = None
    overrides: dict[str, object] = msgspec.field(default_factory=dict)
    signed: tuple[Signature, ...] = ()


class MqttTable(Table, frozen=True):
    """The broker; user and password from files or CBRN_MQTT_USERNAME, CBRN_MQTT_PASSWORD."""

    url: str
    protocol: Literal[5, 311] = 5
    client_id: Id | None = None
    username_file: FilePath | None = None
    password_file: FilePath | None = None
    ca_file: FilePath | None = None
    crl_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None
    socs: tuple[Id, ...] = ()


class InfluxTable(Table, frozen=True):
    """InfluxDB by the v2 write API; token from a file or CBRN_INFLUX_TOKEN."""

    url: str
    bucket: str = "cbrn"
    org: str = "cbrn"
    token_file: FilePath | None = None
    username_file: FilePath | None = None
    password_file: FilePath | None = None
    ca_file: FilePath | None = None
    crl_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None


BYTES_PER_MB = 1_000_000
Megabytes = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
Days = Annotated[float, msgspec.Meta(gt=0, le=36_500)]


class StoreTable(Table, frozen=True):
    """Limits of the files in `data_dir`; what must go is counted, alarms go last.

    Below `free_disk_floor_mb` of free disk readings are stored in place of older ones only,
    below half of it estimates too. `ballast_mb` is given up for the journal on a full disk.
    The series never takes more than half of the disk, the spool than a fifth.
    """

    spool_most_mb: Megabytes = 2048.0
    spool_most_days: Days = 30.0
    series_most_mb: Megabytes = 8192.0
    series_most_days: Days = 365.0
    free_disk_floor_mb: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 200.0
    ballast_mb: Annotated[float, msgspec.Meta(ge=0, le=1_000)] = 8.0
