"""Faults distort exactly what they say and nothing else."""

import pytest

from cbrn_core.errors import CommandRefused
from cbrn_sim.faults import Fault, Faults
from cbrn_sim.streams import stream


class NoWire:
    def __init__(self):
        self.frozen = False

    async def plug(self):
        raise AssertionError("not plugged here")

    async def unplug(self):
        raise AssertionError("not unplugged here")

    def freeze(self, on):
        self.frozen = on


@pytest.fixture
def faults():
    return Faults("st01-xcd", NoWire(), stream(1, "garble"), knows=frozenset(Fault))


def test_without_faults_everything_passes(faults):
    assert faults.report("gas", 1.5) == 1.5
    assert faults.on_wire(b"hello") == b"hello"


def test_a_spike_hits_one_value_only(faults):
    faults.spike(7.0)
    assert [faults.report("gas", 1.0) for _ in range(3)] == [8.0, 1.0, 1.0]


def test_a_spike_waits_for_the_value_it_is_meant_for(faults):
    faults.spike(7.0)
    assert faults.report("gas", 1.0, spends_spike=False) == 1.0
    assert faults.report("direction", 90.0, scale=0.0) == 90.0
    assert faults.report("cpm", 10.0, scale=60.0) == 430.0


def test_a_step_stays_until_it_is_ended(faults):
    faults.step(12.0)
    assert [faults.report("gas", 0.5) for _ in range(2)] == [12.5, 12.5]
    faults.step(0.0)
    assert faults.report("gas", 0.5) == 0.5


def test_a_stuck_value_is_the_one_of_the_moment_it_stuck(faults):
    faults.stuck()
    assert [faults.report("gas", value) for value in (3.0, 4.0, 5.0)] == [3.0, 3.0, 3.0]
    assert faults.report("other", 9.0) == 9.0
    faults.stuck(on=False)
    assert faults.report("gas", 6.0) == 6.0


def test_silence_sends_nothing(faults):
    faults.silence()
    assert faults.on_wire(b"hello") == b""


def test_garbling_damages_about_the_stated_share_and_repeats_with_the_seed(faults):
    sent = bytes(10_000)
    faults.garble(0.1)
    damaged = faults.on_wire(sent)
    touched = sum(byte != 0 for byte in damaged) + abs(len(sent) - len(damaged))
    assert 500 < touched < 1200
    twin = Faults("st01-xcd", NoWire(), stream(1, "garble"))
    twin.garble(0.1)
    assert twin.on_wire(sent) == damaged
    faults.garble(0.0)
    assert faults.on_wire(sent) == sent


@pytest.mark.parametrize(
    "inject",
    [
        lambda faults: faults.exception(4),
        lambda faults: faults.fault_code(1101),
        lambda faults: faults.warm_up(),
        lambda faults: faults.inhibit(),
    ],
)
def test_a_fault_that_an_instrument_cannot_show_is_refused(inject):
    with pytest.raises(CommandRefused, match="st02-gmc"):
        inject(Faults("st02-gmc", NoWire(), stream(1, "x")))


def test_clear_ends_everything(faults):
    faults.garble(1.0)
    faults.silence()
    faults.stuck()
    faults.spike(5.0)
    faults.step(5.0)
    faults.exception(6)
    faults.fault_code(1103)
    faults.warm_up()
    faults.inhibit()
    faults.freeze()
    faults.clear()
    assert faults.on_wire(b"hello") == b"hello"
    assert faults.report("gas", 1.0) == 1.0
    assert faults.active_exception is None
    assert faults.active_code == 0
    assert not faults.is_warming_up
    assert not faults.is_inhibited
    assert not faults._wire.frozen
