"""Steps for the people who act: which play an alarm calls for, and who vouches for it."""

from enum import StrEnum

import msgspec


class Play(StrEnum):
    """A set of steps; chosen by hazard, rule and priority."""

    CHEMICAL_ALARM = "chemical_alarm"
    CHEMICAL_INDICATIVE = "chemical_indicative"
    CHEMICAL_NOTICE = "chemical_notice"
    CHEMICAL_CLASS = "chemical_class"
    BIOLOGICAL = "biological"
    RADIATION_INVESTIGATE = "radiation_investigate"
    RADIATION_ALARM = "radiation_alarm"
    RADIATION_TURN_BACK = "radiation_turn_back"
    PHYSIOLOGICAL = "physiological"
    RETURNED = "returned"
    CHANNEL_SILENT = "channel_silent"
    CHANNEL_SUSPECT = "channel_suspect"
    STATION_MOVED = "station_moved"
    SITE_NOT_IN_SERVICE = "site_not_in_service"
    DELIVERY = "delivery"
    RADIO = "radio"
    STORE = "store"
    ALERT_INCOMPLETE = "alert_incomplete"
    GATEWAY_LATE = "gateway_late"
    CERTIFICATE = "certificate"
    CLOCK = "clock"
    ZONE_BLIND = "zone_blind"
    CONFIGURATION = "configuration"
    EXPLAINED = "explained"


class Role(StrEnum):
    """Who a step is for."""

    EVERYONE = "everyone"
    OPERATOR = "operator"
    RESPONDER = "responder"
    TECHNICIAN = "technician"
    SUPERVISOR = "supervisor"


class Step(msgspec.Struct, frozen=True):
    """One step: `text` may hold the fields of `actions.py`."""

    role: Role
    text: str


class Playbook(msgspec.Struct, frozen=True, kw_only=True):
    """Who stands behind the steps; dates are ISO 8601 days."""

    name: str
    status: str
    approved_by: str | None = None
    role: str | None = None
    date: str | None = None
    valid_until: str | None = None
    sources: tuple[str, ...] = ()


class ApprovedPlay(msgspec.Struct, frozen=True):
    """What a city approved for one play; without `steps`: the built-in ones."""

    playbook: Playbook
    steps: tuple[Step, ...] | None = None


class StepCatalogue(msgspec.Struct, frozen=True, kw_only=True):
    """The example steps of one language.

    `cordon` and `tolerance` are added where the site or the agents table has a figure.
    """

    language: str
    steps: dict[Play, tuple[Step, ...]]
    cordon: Step
    tolerance: Step
    example: str
    expired: str
    approved: str

    def templates(self) -> list[str]:
        """Return every text of the catalogue, for the lint."""
        extra = [self.cordon.text, self.tolerance.text, self.example, self.expired, self.approved]
        return [step.text for steps in self.steps.values() for step in steps] + extra
