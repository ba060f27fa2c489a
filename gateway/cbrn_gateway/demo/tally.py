"""What a run has shown so far: last readings, alarms, which instruments were read."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from cbrn_core.channel import ChannelKey
from cbrn_core.estimate import Estimate
from cbrn_core.reading import Reading

_RANKS = {1: 1, 2: 2, 3: 3}
_DIAGNOSTIC_RANK = 4
DIAGNOSTIC = "D"
ENDED = "normal"


class Raised(NamedTuple):
    """When an alarm was first journalled, in seconds since the start of the scenario."""

    alert: dict[str, Any]
    after_s: float


class Tally:
    """Collects; decides nothing. `readings` and `versions` count all that came by."""

    def __init__(self) -> None:
        self.readings = 0
        self.versions = 0
        self.last: dict[ChannelKey, Reading] = {}
        self.estimates: dict[ChannelKey, Estimate] = {}
        self.alerts: dict[str, dict[str, Any]] = {}
        self.devices: set[str] = set()
        self.first_priority_1: Raised | None = None

    def take_samples(self, readings: Sequence[Reading], estimates: Sequence[Estimate]) -> None:
        """Note one step's samples."""
        self.readings += len(readings)
        for reading in readings:
            self.last[reading.key] = reading
            if reading.device is not None:
                self.devices.add(reading.device)
        for estimate in estimates:
            self.estimates[estimate.key] = estimate

    def take_alert(self, alert: dict[str, Any], after_s: float) -> None:
        """Note one version of an alarm; the newest is kept."""
        self.versions += 1
        self.alerts[alert["id"]] = alert
        if self.first_priority_1 is None and alert["properties"]["priority"] == 1:
            self.first_priority_1 = Raised(alert, after_s)

    def told_alerts(self) -> list[dict[str, Any]]:
        """Return the newest version of each alarm for people: worst first, then oldest first."""
        told = [a for a in self.alerts.values() if a["properties"]["priority"] != DIAGNOSTIC]
        return sorted(told, key=lambda a: (rank(a), a["properties"]["raised_at"]))

    def worst_at(self, station: str) -> dict[str, Any] | None:
        """Return the worst open alarm of a station."""
        here = (
            alert
            for alert in self.told_alerts()
            if alert["properties"]["station"] == station and alert["properties"]["state"] != ENDED
        )
        return next(here, None)

    def open_count(self, priority: int) -> int:
        """Return how many alarms of a priority are open."""
        return sum(
            alert["properties"]["priority"] == priority and alert["properties"]["state"] != ENDED
            for alert in self.alerts.values()
        )


def rank(alert: dict[str, Any]) -> int:
    """Return the priority as a number: 1 highest, diagnostics last."""
    return _RANKS.get(alert["properties"]["priority"], _DIAGNOSTIC_RANK)
