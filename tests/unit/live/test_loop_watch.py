"""How late the loop comes, and what is told of it."""

import asyncio
import contextlib

import pytest
from unit.live.noticing import CONFIG, Gateway

from cbrn_core.alarm import Reason
from cbrn_gateway.alarms.render import render_alert
from cbrn_gateway.live.loop_watch import LoopWatch


class Loop:
    """A loop whose lateness the test decides: each beat is late by the next figure."""

    def __init__(self, *late_s: float) -> None:
        self.now_s = 100.0
        self.late_s = list(late_s)

    async def sleep(self, seconds: float) -> None:
        if not self.late_s:
            raise asyncio.CancelledError
        self.now_s += seconds + self.late_s.pop(0)


async def watched(*late_s, on_late=lambda _: None):
    loop = Loop(*late_s)
    watch = LoopWatch(on_late, monotonic_s=lambda: loop.now_s, sleep=loop.sleep)
    with contextlib.suppress(asyncio.CancelledError):
        await watch.run()
    return watch.counters()


@pytest.mark.asyncio
async def test_a_loop_in_time_is_told_of_by_its_figures_only():
    told = []
    counters = await watched(*[0.001] * 500, 0.2, on_late=told.append)
    assert told == []
    assert counters == {"loop_lag_max_ms": 200, "loop_lag_p99_ms": 1, "loop_late": 0}


@pytest.mark.asyncio
async def test_the_longest_lag_stays_while_the_p99_forgets():
    counters = await watched(*[0.4] * 100, *[0.002] * 3000)
    assert counters == {"loop_lag_max_ms": 400, "loop_lag_p99_ms": 2, "loop_late": 100}


@pytest.mark.asyncio
async def test_a_blocked_loop_is_one_alarm_with_its_lag_and_ends_when_it_comes_in_time_again():
    gateway = Gateway()

    def on_late(lag_s):
        gateway.notices.failing(Reason.LOOP_LATE, "gateway", f"{lag_s * 1000:.0f} ms")

    await watched(0.001, 0.3, 0.001, 0.28, on_late=on_late)
    (alarm,) = gateway.alarms_after(1)
    assert alarm.condition.reason is Reason.LOOP_LATE
    alert = render_alert(alarm, CONFIG.model, CONFIG.presentation)["properties"]
    assert (alert["kind"], alert["priority"], alert["level"]) == ("technical", 3, "gateway held up")
    assert "300 ms" in alert["text"]
    await watched(*[0.001] * 100, on_late=on_late)
    gateway.clock.advance(121)
    gateway.notices.settle()
    (ended,) = gateway.alarms_after(1)
    assert (ended.id, ended.condition.active) == (alarm.id, False)
