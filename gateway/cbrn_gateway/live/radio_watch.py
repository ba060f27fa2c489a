"""Radios that do not work, as technical alarms: the silence of an instrument has no cause."""

from collections.abc import Iterable

from cbrn_core.alarm import Reason
from cbrn_core.clock import Clock
from cbrn_core.times import seconds_to_us
from cbrn_gateway.live.buses import Bus
from cbrn_gateway.live.notices import Notices

LOOK_EVERY_S = 5.0
DOWN_AFTER_S = 30.0
"""A service that is started anew, or an adapter that is plugged in again, is no alarm."""


class RadioWatch:
    """Tells of each radio that fails, why, and when it works again, be anybody there or not."""

    def __init__(self, buses: Iterable[Bus], clock: Clock, notices: Notices) -> None:
        self._buses = buses
        self._clock = clock
        self._notices = notices
        self._told: set[str] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Tell what has changed; a radio that is no longer configured does not fail."""
        radios = {bus.radio_name: bus for bus in self._buses if bus.radio_name is not None}
        for name in self._told - radios.keys():
            self._mended(name)
        for name, radio in radios.items():
            if radio.is_well:
                # a reading would show it as well, but nobody may be there
                radio.supervisor.progressed()
                self._mended(name)
            elif self._fails_for_long(radio):
                self._told.add(name)
                self._notices.failing(Reason.RADIO_DOWN, name, radio.supervisor.plain_error)

    def _fails_for_long(self, radio: Bus) -> bool:
        since_us = radio.supervisor.failing_since_us
        before_us = self._clock.now().steady_us - seconds_to_us(DOWN_AFTER_S)
        return since_us is not None and since_us <= before_us

    def _mended(self, name: str) -> None:
        self._told.discard(name)
        self._notices.mended(Reason.RADIO_DOWN, name)
