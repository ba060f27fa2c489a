"""The trial of a new configuration: whatever worked before must work with it, too."""

from typing import NamedTuple

from cbrn_core.channel import ChannelKey, Device
from cbrn_core.times import seconds_to_us
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.config.wires import wirings
from cbrn_gateway.live.setup import Setup
from cbrn_gateway.live.supervisor import Health
from cbrn_gateway.pipeline.freshness import stale_after_us
from cbrn_gateway.pipeline.pipeline import NOT_JUDGED, Pipeline


class Working(NamedTuple):
    """What works at one moment: channels that report, sinks that deliver, readings not judged."""

    channels: frozenset[ChannelKey]
    sinks: frozenset[str]
    not_judged: int


def working(setup: Setup) -> Working:
    """Return what works now."""
    intake = setup.pipeline.intake
    reporting = {
        channel.key
        for channel, freshness in zip(intake.channels, intake.freshness, strict=True)
        if freshness.last_received_us is not None and not freshness.stale
    }
    sinks = setup.sinks.supervisors().items()
    delivering = {name for name, found in sinks if found.health is Health.RUNNING}
    return Working(frozenset(reporting), frozenset(delivering), _not_judged(setup.pipeline))


class Trial:
    """The time in which a configuration proves itself; `confirmed` is the one to go back to.

    `before` is what worked under the confirmed one; judged are the devices whose wire is
    another one now, each within the time in which it would be called stale.
    """

    def __init__(self, setup: Setup, confirmed: SiteConfig, before: Working, began_us: int) -> None:
        self.confirmed = confirmed
        self.before = before
        self._setup = setup
        self._began_us = began_us
        self._judged = self._devices()
        waits_us = [self._wait_us(device) for device in self._judged]
        self.due_us = began_us + max([seconds_to_us(setup.config.config_trial_s), *waits_us])

    def failures(self) -> list[str]:
        """Return what worked before and does not now, in plain words."""
        lost = [f"{device.id} delivers nothing" for device in self._judged if self._is_mute(device)]
        for name, supervisor in self._setup.sinks.supervisors().items():
            if name in self.before.sinks and supervisor.failing_since_us is not None:
                lost.append(f"{name} has no contact")
        if _not_judged(self._setup.pipeline) > self.before.not_judged:
            lost.append("readings cannot be judged")
        return lost

    def _devices(self) -> list[Device]:
        model, confirmed = self._setup.config.model, self.confirmed.model
        old = wirings(confirmed.devices.values())
        new = wirings(model.devices.values())
        judged = []
        for device in (d for name, wire in new.items() if wire != old.get(name) for d in wire):
            former = confirmed.devices.get(device.id)
            channels = (*device.channels, *(() if former is None else former.channels))
            if any(channel.key in self.before.channels for channel in channels):
                judged.append(model.devices[device.id])
        return judged

    def _wait_us(self, device: Device) -> int:
        intake = self._setup.pipeline.intake
        slots = [s for c in device.channels if (s := intake.slot_of(c.key)) is not None]
        waits = [stale_after_us(intake.channels[s], intake.freshness[s]) for s in slots]
        return min(waits, default=0)

    def _is_mute(self, device: Device) -> bool:
        intake = self._setup.pipeline.intake
        for channel in device.channels:
            slot = intake.slot_of(channel.key)
            last_us = None if slot is None else intake.freshness[slot].last_received_us
            if last_us is not None and last_us > self._began_us:
                return False
        return True


def _not_judged(pipeline: Pipeline) -> int:
    return pipeline.drops.counts().get(NOT_JUDGED, 0)
