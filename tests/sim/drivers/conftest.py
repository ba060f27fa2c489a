"""Fixtures of the serial bench."""

import pytest_asyncio
from sim.drivers.serial_bench import Plug


@pytest_asyncio.fixture
async def plug(tmp_path):
    """A plug that is pulled after the test."""
    one = Plug(tmp_path)
    yield one
    one.pull()
