"""As the disk fills up readings go first, then estimates; the ballast is rebuilt by itself."""

import pytest
from unit.live.noticing import CONFIG, Gateway

from cbrn_core.alarm import Priority
from cbrn_core.errors import StorageError
from cbrn_gateway.alarms.texts import describe
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
        return [(a.condition.active, a.condition.level) for a in self.versions()]

    def versions(self):
        return self.gateway.alarms_after(1)


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
    assert room.alarms() == [(True, "disk nearly full")]
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
    assert room.alarms() == [(True, "disk full")]
    await room.look(100)
    assert not ballast.exists()
    assert set(room.shed[-1]) == {"reading", "estimate"}
    await room.look(500)
    assert ballast.exists()
    assert room.shed[-1] == frozenset()
    assert [active for active, _ in room.alarms()] == [False]
    counters = room.disk.counters()
    assert (counters["ballast_released"], counters["disk_shedding_level"]) == (1, 0)


@pytest.mark.asyncio
async def test_a_refusal_that_may_be_want_of_room_costs_the_ballast_once_and_tells_of_none(
    room, tmp_path
):
    await room.look(500)
    assert await room.disk.give_room(is_full=False)
    for _ in range(120):
        await room.look(500)
        assert not (tmp_path / "ballast").exists()
        # the journal goes on asking
        assert not await room.disk.give_room(is_full=False)
        assert room.alarms() == []
    for _ in range(61):
        await room.look(500)
        assert room.alarms() == []
    assert (tmp_path / "ballast").exists()
    assert room.disk.counters()["ballast_released"] == 1


@pytest.mark.asyncio
async def test_no_second_ballast_can_be_released(room):
    await room.look(500)
    assert await room.disk.give_room()
    assert not await room.disk.give_room()


@pytest.mark.asyncio
async def test_a_start_on_a_full_disk_is_told_and_the_ballast_built_later(room, tmp_path):
    await room.look(0)
    assert room.alarms() == [(True, "disk full")]
    await room.look(500)
    assert (tmp_path / "ballast").exists()


@pytest.mark.asyncio
async def test_a_file_system_that_does_not_answer_is_told(room):
    await room.look(None)
    (alarm,) = room.versions()
    assert (alarm.condition.active, alarm.condition.level) == (True, "store fails")
    assert "does not answer" in alarm.condition.facts["detail"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("disk_mb", "most_mb"), [(5_000, 500), (200_000, 1_000)], ids=["a tenth", "a gigabyte"]
)
async def test_a_journal_that_takes_much_of_the_disk_is_a_notice_and_its_size_is_told(
    room, monkeypatch, disk_mb, most_mb
):
    taken = [int(most_mb * 0.95) * MB]
    monkeypatch.setattr(module, "disk_bytes", lambda _: disk_mb * MB)
    monkeypatch.setattr(module, "file_bytes", lambda path: taken[0] * (path.name == "journal.db"))
    await room.look(500)
    assert room.alarms() == []
    assert room.disk.counters()["journal_bytes"] == taken[0]
    taken[0] = (most_mb + 1) * MB
    await room.look(500)
    (told,) = room.versions()
    assert (told.condition.level, told.condition.priority) == ("journal is large", Priority.P3)
    said = words_of(told, "en").text
    assert f"takes up much of its disk ({most_mb + 1} MB)" in said
    for _ in range(300):
        await room.look(500)
        assert room.alarms() == []
    taken[0] = MB
    await room.look(500)
    assert room.alarms() == [(False, "journal is large")]


def words_of(alarm, language):
    return describe(alarm, CONFIG.model, language=language)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("language", "nearly", "full"),
    [
        (
            "en",
            "is nearly full (60 MB free, the oldest readings make room)",
            "the disk of this gateway is full",
        ),
        (
            "nb",
            "er nesten full (60 MB ledig, de eldste målingene gir plass)",
            "disken i denne gatewayen er full",
        ),
        (
            "it",
            "è quasi pieno (60 MB liberi, le letture più vecchie fanno posto)",
            "il disco di questo gateway è pieno",
        ),
    ],
)
async def test_a_disk_nearly_full_that_becomes_full_sounds_again_with_its_own_words(
    room, language, nearly, full
):
    await room.look(500)
    await room.look(60)
    (first,) = room.versions()
    assert nearly in words_of(first, language).text
    assert await room.disk.give_room()
    (second,) = room.versions()
    assert (second.id, second.version, second.annunciate) == (first.id, 2, True)
    assert second.condition.level == "disk full"
    said = words_of(second, language)
    assert full in said.text
    assert full in said.read_aloud
    assert nearly not in said.text


@pytest.mark.asyncio
async def test_a_disk_without_room_for_anything_is_full_before_the_journal_is_refused(room):
    await room.look(500)
    await room.look(60)
    room.versions()
    await room.look(0.4)
    assert room.alarms() == [(True, "disk full")]
    # around the edge it is told once
    await room.look(1.2)
    await room.look(0.9)
    await room.look(1.9)
    assert room.alarms() == []


@pytest.mark.asyncio
async def test_a_full_disk_that_was_cleared_a_little_is_nearly_full_then(room):
    await room.look(500)
    await room.look(0)
    room.versions()
    await room.look(60)
    assert [v for _ in range(6) for v in room.alarms()] == [(True, "disk nearly full")]
    await room.look(500)
    assert [active for active, _ in room.alarms()] == [False]


@pytest.mark.asyncio
async def test_a_restart_on_a_full_disk_does_not_sound_again(room, tmp_path, monkeypatch):
    await room.look(0)
    (told,) = room.versions()
    later = Room(tmp_path, monkeypatch)
    later.gateway.pipeline.machine.rebuild([told])
    later.gateway.notices.adopt(later.gateway.pipeline.machine.open_alarms())
    await later.look(0)
    assert later.alarms() == []
