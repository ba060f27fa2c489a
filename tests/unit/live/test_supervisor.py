"""A broken wire is tried again ever more slowly, up to its bound, and never given up."""

import asyncio

import pytest

from cbrn_core.clock import Now
from cbrn_core.errors import ConfigError, ConnectFailed, Disconnected, Problem
from cbrn_drivers.catalogue import driver_keys, load_driver, reopen_wait_s
from cbrn_gateway.live.supervisor import PROMPT_WAIT_S, REFUSED_WAIT_S, Supervisor

ATTEMPTS = 12


class HastyClock:
    """Sleeps no time at all and writes down what it was asked for."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    def now(self) -> Now:
        return Now(round(sum(self.slept_s) * 1e6), 0)

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        if len(self.slept_s) >= ATTEMPTS:
            raise asyncio.CancelledError
        await asyncio.sleep(0)


async def waits_s(error, **more) -> list[float]:
    clock = HastyClock()

    async def work() -> None:
        raise error

    with pytest.raises(asyncio.CancelledError):
        await Supervisor("wire", work, clock, **more).run()
    return clock.slept_s


@pytest.mark.asyncio
@pytest.mark.parametrize("most_wait_s", [PROMPT_WAIT_S, 30.0])
async def test_the_wait_grows_up_to_its_bound_and_is_jittered(most_wait_s):
    waits = await waits_s(ConnectFailed("refused"), most_wait_s=most_wait_s)
    assert waits[0] <= 0.25
    assert all(most_wait_s / 2 <= wait <= most_wait_s for wait in waits[-3:])
    assert len(set(waits)) == ATTEMPTS


@pytest.mark.asyncio
async def test_a_configuration_that_cannot_be_used_is_tried_at_leisure():
    waits = await waits_s(ConfigError([Problem("port", "no")]), most_wait_s=PROMPT_WAIT_S)
    assert set(waits) == {REFUSED_WAIT_S}


def test_only_a_shared_radio_is_left_in_peace_between_two_attempts():
    slow = {k for k in driver_keys() if reopen_wait_s(load_driver(k), PROMPT_WAIT_S) > 2.0}
    assert slow == {"wearable.heart_rate"}


class Peer:
    """A far end whose connections last as long as they are told to, 5 s unless said."""

    def __init__(self) -> None:
        self.us = 0
        self.failing_since_us: list[int | None] = []
        self.believed: list[bool] = []
        self.supervisor = Supervisor("link", self._work, self)
        self.ways: list[str] = []

    def now(self) -> Now:
        return Now(self.us, 0)

    async def sleep(self, seconds: float) -> None:  # noqa: ARG002
        self.us += 1_000_000
        if not self.ways:
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    async def run(self, *ways: str) -> None:
        self.ways = list(ways)
        with pytest.raises(asyncio.CancelledError):
            await self.supervisor.run()

    async def _work(self) -> None:
        way = self.ways.pop(0)
        if way != "refuses":
            self.believed.append(self.supervisor.answered())
        self.failing_since_us.append(self.supervisor.failing_since_us)
        if way == "lasts":
            self.supervisor.progressed()
        self.us += 5_000_000
        raise Disconnected(way)


@pytest.mark.asyncio
async def test_an_answer_ends_an_outage_at_once():
    peer = Peer()
    await peer.run("refuses", "refuses", "answers")
    assert peer.failing_since_us == [None, 5_000_000, None]


@pytest.mark.asyncio
async def test_a_link_that_answers_and_breaks_off_fails_since_the_first_time():
    peer = Peer()
    await peer.run("refuses", "answers", "answers", "answers")
    assert peer.believed == [True, False, False]
    assert peer.failing_since_us == [None, None, 5_000_000, 5_000_000]
    assert peer.supervisor.failing_since_us == 5_000_000


@pytest.mark.asyncio
async def test_a_connection_that_lasted_makes_answers_believed_again():
    peer = Peer()
    await peer.run("answers", "lasts", "answers", "answers")
    assert peer.believed == [True, False, True, False]
    assert peer.failing_since_us == [None, 5_000_000, None, 11_000_000]


@pytest.mark.asyncio
async def test_answers_alone_do_not_shorten_the_wait():
    peer = Peer()
    await peer.run(*["answers"] * 12)
    assert peer.supervisor.wait_s >= 15.0
