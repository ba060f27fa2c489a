"""Radios that fail: when they are told, with which cause, and when that ends."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Self

import pytest
from unit.live.noticing import CONFIG, Gateway

from cbrn_core.alarm import Reason
from cbrn_core.reading import Reading
from cbrn_gateway.alarms.render import Presentation, render_alert
from cbrn_gateway.live.buses import Bus
from cbrn_gateway.live.inbox import Inbox
from cbrn_gateway.live.radio_watch import DOWN_AFTER_S, RadioWatch
from cbrn_gateway.pipeline.drops import DropCounter

CAUSE = "the Bluetooth service does not run: systemctl start bluetooth"


class Adapter:
    """The driver of a radio; `is_well` is what it says of itself."""

    radio_name = "Bluetooth hci0"

    def __init__(self) -> None:
        self.is_well = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    def counters(self) -> Mapping[str, int]:
        return {}

    async def batches(self) -> AsyncIterator[Sequence[Reading]]:
        yield []


class Square(Gateway):
    """A gateway with one radio that has just failed for the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.adapter = Adapter()
        inbox = Inbox(self.clock, DropCounter())
        self.buses = [Bus("ble:hci0", self.adapter, inbox, self.clock)]
        self.watch = RadioWatch(self.buses, self.clock, self.notices)
        supervisor = self.buses[0].supervisor
        supervisor.failing_since_us = self.clock.now().steady_us
        supervisor.last_error = f"ConnectFailed: {CAUSE}"

    def alarms_after_look(self, seconds: float):
        self.clock.advance(seconds)
        self.watch.look()
        return self.alarms_after(0)


def test_a_radio_that_fails_for_half_a_minute_is_told_once_with_its_cause():
    square = Square()
    assert square.alarms_after_look(DOWN_AFTER_S - 1) == []
    (alarm,) = square.alarms_after_look(2)
    alert = render_alert(alarm, CONFIG.model, CONFIG.presentation)["properties"]
    assert alarm.condition.reason is Reason.RADIO_DOWN
    assert (alert["kind"], alert["priority"], alert["state"]) == ("technical", 2, "unack")
    assert CAUSE in alert["text"]
    assert "Bluetooth hci0" in alert["read_aloud"]
    for _ in range(5):
        assert square.alarms_after_look(100) == [], "it stands, and is not told again"


def test_a_radio_that_works_is_told_though_nobody_is_there_to_be_heard():
    square = Square()
    (alarm,) = square.alarms_after_look(DOWN_AFTER_S + 1)
    square.adapter.is_well = True
    (ended,) = square.alarms_after_look(5)
    assert ended.id == alarm.id
    assert not ended.condition.active
    assert square.buses[0].supervisor.failing_since_us is None
    square.adapter.is_well = False
    assert square.alarms_after_look(DOWN_AFTER_S + 1) == [], "it has not failed since"


def test_a_radio_that_is_no_longer_configured_does_not_fail():
    square = Square()
    (alarm,) = square.alarms_after_look(DOWN_AFTER_S + 1)
    square.buses.clear()
    (ended,) = square.alarms_after_look(5)
    assert (ended.id, ended.condition.active) == (alarm.id, False)


@pytest.mark.parametrize(
    ("language", "words"), [("nb", "radioen virker ikke"), ("it", "la radio non funziona")]
)
def test_its_end_is_told_in_the_language_of_the_square(language, words):
    square = Square()
    square.alarms_after_look(DOWN_AFTER_S + 1)
    square.adapter.is_well = True
    (ended,) = square.alarms_after_look(5)
    alert = render_alert(ended, CONFIG.model, Presentation(language=language))
    assert words in alert["properties"]["text"]


def test_what_an_earlier_run_told_of_a_radio_stands_until_it_is_known_to_work():
    earlier = Square()
    (alarm,) = earlier.alarms_after_look(DOWN_AFTER_S + 1)
    square = Square()
    square.pipeline.machine.rebuild([alarm])
    square.notices.adopt(square.pipeline.machine.open_alarms())
    assert square.alarms_after_look(5) == []
    square.adapter.is_well = True
    (ended,) = square.alarms_after_look(5)
    assert (ended.id, ended.condition.active) == (alarm.id, False)
