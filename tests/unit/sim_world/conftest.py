"""Stand-ins for what an instrument senses and for its wire."""

import pytest

from cbrn_sim.faults import Fault, Faults
from cbrn_sim.streams import stream


class NoWire:
    async def plug(self):
        """Do nothing."""

    async def unplug(self):
        """Do nothing."""

    def freeze(self, on):
        """Do nothing."""


class FixedTube:
    """A tube that has counted these figures for ever."""

    def __init__(self, cps=0, cpm=0, total=0, bins_run=100):
        self.counts = lambda _t_s: cps
        self.window_counts = lambda _t_s: cpm
        self.total, self.bins_run = total, bins_run


@pytest.fixture
def well():
    """Return the faults of a healthy instrument that could show every fault."""
    return Faults("unit", NoWire(), stream(1, "garble"), knows=frozenset(Fault))


@pytest.fixture
def fixed_tube():
    return FixedTube
