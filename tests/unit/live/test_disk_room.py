"""As the disk fills up readings go first, then estimates; the ballast is rebuilt by itself."""

import pytest
from unit.live.noticing import Gateway

from cbrn_core.errors import StorageError
from cbrn_gateway.config.structs import StoreTable
from cbrn_gateway.live import disk as module
from cbrn_gateway.live.disk import Disk

MB = 1_000_000
LIMITS = StoreTable(free_disk_floor_mb=100.0, ballast_mb=1.0)


class Room:
    """A disk whose free room a test sets, and what the gateway does about it."""

    def __init__(self, folder, monkeypatch):
        self.gateway = Gateway()
        self.shed = []
        self.free_mb = 500
        monkeypatch.setattr(module, "free_bytes", lambda _: self.measured())
        self.disk = Disk(folder, LIMITS, self.gateway.clock, self.gateway.notices, self.shed.append)

    def measured(self):
        if self.free_mb is None:
            raise StorageError("the file system does not answer")
        return self.free_mb * MB

    async def look(self, free_mb):
        self.free_mb = free_mb
        await self.disk.look()
        return set(self.shed[-1]) if self.shed else set()

    def alarms(self):
        return [
            (a.condition.active, a.condition.facts.get("detail"))
            for a in self.gateway.alarms_after(1)
        ]


@pytest.fixture
def room(tmp_path, monkeypatch):
    return Room(tmp_path, monkeypatch)


@pytest.mark.asyncio
async def test_readings_go_below_the_floor_and_estimates_below_half_of_it(room):
    assert await room.look(101) == set()
    assert await room.look(99) == {"reading"}
    assert await room.look(49) == {"reading", "estimate"}
    assert room.disk.counters()["disk_shedding_level"] == 2
    # a little more room does not make it flutter
    assert await room.look(105) == {"reading", "estimate"}
    assert await room.look(111) == set()


@pytest.mark.asyncio
async def test_a_disk_nearly_full_is_a_technical_alarm_until_there_is_room(room):
    await room.look(500)
    assert room.alarms() == []
    await room.look(60)
    assert room.alarms() == [(True, "disk nearly full: 60 MB free")]
    await room.look(500)
    assert [active for active, _ in room.alarms()] == [False]


@pytest.mark.asyncio
async def test_the_ballast_is_built_released_and_built_again_when_there_is_room(room, tmp_path):
    ballast = tmp_path / "ballast"
    await room.look(500)
    assert ballast.stat().st_size == MB
    assert await room.disk.give_room()
    assert not ballast.exists()
    assert set(room.shed[-1]) == {"reading", "estimate"}
    assert room.alarms() == [(True, "disk full, ballast released")]
    await room.look(100)
    assert not ballast.exists()
    assert set(room.shed[-1]) == {"reading", "estimate"}
    await room.look(500)
    assert ballast.exists()
    assert room.shed[-1] == frozenset()
    assert [active for active, _ in room.alarms()] == [False]
    assert room.disk.counters() == {"ballast_released": 1, "disk_shedding_level": 0}


@pytest.mark.asyncio
async def test_no_second_ballast_can_be_released(room):
    await room.look(500)
    assert await room.disk.give_room()
    assert not await room.disk.give_room()


@pytest.mark.asyncio
async def test_a_start_on_a_full_disk_is_told_and_the_ballast_built_later(room, tmp_path):
    await room.look(20)
    assert room.alarms() == [(True, "disk full, ballast released")]
    await room.look(500)
    assert (tmp_path / "ballast").exists()


@pytest.mark.asyncio
async def test_a_file_system_that_does_not_answer_is_told(room):
    await room.look(None)
    ((active, detail),) = room.alarms()
    assert active
    assert "does not answer" in detail
