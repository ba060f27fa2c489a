"""On a disk that is nearly full the newest are stored in place of the oldest, all counted."""

import pytest
from samples.store_samples import EPOCH, START_US, estimate, reading

from cbrn_gateway.config.structs import BYTES_PER_MB, StoreTable
from cbrn_gateway.live.open_stores import fitted, keep_of
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.spool import SPOOL_LAYOUT, Consequence, Spool
from cbrn_gateway.store.writer import Batch, Writer

ALL = frozenset({"reading", "estimate"})
BATCH = 500
US = 1_000_000


class Gateway:
    """A writer with default quotas whose disk a test declares nearly full."""

    def __init__(self, folder):
        self.folder = folder
        self.errors = []
        self.series = Series(folder / "series.db")
        limits = StoreTable()
        self.spool = Spool(
            folder / "spool.db",
            epoch=EPOCH,
            max_rows=10**7,
            max_bytes=int(limits.spool_most_mb * BYTES_PER_MB),
        )
        self.writer = Writer(
            self.series,
            self.spool,
            on_error=self.errors.append,
            interval_s=0.001,
            keep=keep_of(limits),
        )
        self.submitted = 0

    async def takes(self, count, lines=True):
        """Let readings come, with their estimates and, unless told not to, their lines."""
        for _ in range(count // BATCH):
            seconds = range(self.submitted, self.submitted + BATCH)
            spooled = {Consequence.READING: [line(n) for n in seconds]} if lines else {}
            self.writer.submit(
                Batch(
                    readings=[reading(n) for n in seconds],
                    estimates=[estimate(n) for n in seconds],
                    lines=spooled,
                    stored_us=START_US,
                )
            )
            self.submitted += BATCH
            await self.writer.flush()

    def file_bytes(self):
        return sum(store.database.file_bytes() for store in (self.series, self.spool))

    def stored(self):
        found = self.series.readings(("st04", "cl2"), limit=10**7)
        return [r.time_us // US - START_US // US for r in found]

    async def spooled(self):
        found = await self.writer.peek_lines(10**7, 10**9)
        return [int(row.line.split()[-1]) for row in found]


def line(number):
    return (
        b"chemical,city=varde,site=torg,station=st04,channel=cl2 value=1.25,sigma=0.1 %d" % number
    )


@pytest.mark.asyncio
async def test_the_newest_are_stored_and_delivered_in_place_of_the_oldest(tmp_path):
    gateway = Gateway(tmp_path)
    await gateway.takes(10_000)
    gateway.writer.shed(ALL)
    await gateway.takes(1_000)
    held_bytes = gateway.file_bytes()
    await gateway.takes(30_000)
    assert gateway.file_bytes() <= held_bytes * 1.05
    stored, spooled = gateway.stored(), await gateway.spooled()
    counters = gateway.writer.counters()
    assert stored == list(range(41_000 - len(stored), 41_000)), "the newest, without a gap"
    assert spooled == list(range(41_000 - len(spooled), 41_000))
    assert len(stored) >= 1_000, "what a restart may need is never taken"
    assert len(spooled) > 5_000
    assert counters["series_made_way"] == 41_000 - len(stored)
    assert counters["spool_evicted_reading"] == 41_000 - len(spooled)
    assert counters.get("series_unstored_reading", 0) == 0
    assert counters.get("spool_unstored_reading", 0) == 0
    assert gateway.errors == []
    await gateway.writer.close()


@pytest.mark.asyncio
async def test_lines_go_only_after_the_old_samples_of_the_series(tmp_path):
    gateway = Gateway(tmp_path)
    await gateway.takes(30_000, lines=False)
    await gateway.takes(2_000)
    gateway.writer.shed(ALL)
    held_bytes = gateway.file_bytes()
    await gateway.takes(4_000)
    spooled = await gateway.spooled()
    assert len(spooled) == 6_000, "no line gave way"
    assert gateway.writer.counters()["series_made_way"] > 4_000
    assert gateway.stored()[-1] == 35_999
    assert gateway.file_bytes() <= held_bytes * 1.05
    await gateway.writer.close()


@pytest.mark.asyncio
async def test_lines_that_were_delivered_give_their_room_to_the_series(tmp_path):
    gateway = Gateway(tmp_path)
    await gateway.takes(20_000)
    await gateway.writer.delete_lines_through(20_000)
    gateway.writer.shed(ALL)
    await gateway.takes(5_000, lines=False)
    assert gateway.writer.counters()["series_made_way"] == 0
    assert len(gateway.stored()) == 25_000
    await gateway.writer.close()


@pytest.mark.asyncio
async def test_alarms_stay_in_the_spool_and_come_into_it(tmp_path):
    gateway = Gateway(tmp_path)
    alarms = {Consequence.ALARM: [b"alarm %d" % n for n in range(BATCH)]}
    gateway.writer.submit(Batch(lines=alarms))
    await gateway.takes(3_000)
    gateway.writer.shed(ALL)
    await gateway.takes(20_000)
    gateway.writer.submit(Batch(lines={Consequence.ALARM: [b"alarm %d" % BATCH]}))
    await gateway.writer.flush()
    found = await gateway.writer.peek_lines(10**7, 10**9)
    assert sum(row.line.startswith(b"alarm") for row in found) == BATCH + 1
    await gateway.writer.close()


@pytest.mark.asyncio
async def test_when_there_is_room_again_the_files_grow_again_and_nothing_goes(tmp_path):
    gateway = Gateway(tmp_path)
    await gateway.takes(4_000)
    gateway.writer.shed(ALL)
    await gateway.takes(2_000)
    gateway.writer.shed(frozenset())
    gone = gateway.writer.counters()["series_made_way"]
    held_bytes = gateway.file_bytes()
    await gateway.takes(10_000)
    assert gateway.file_bytes() > held_bytes * 1.5
    assert gateway.writer.counters()["series_made_way"] == gone
    await gateway.writer.close()


@pytest.mark.asyncio
async def test_files_of_before_that_give_nothing_back_keep_their_own_newest(tmp_path, monkeypatch):
    older = SPOOL_LAYOUT._replace(gives_back=False)
    monkeypatch.setattr("cbrn_gateway.store.spool.SPOOL_LAYOUT", older)
    gateway = Gateway(tmp_path)
    assert not gateway.spool.database.gives_back
    gateway.series.database.gives_back = False
    await gateway.takes(6_000)
    gateway.writer.shed(ALL)
    await gateway.takes(12_000)
    stored, spooled = gateway.stored(), await gateway.spooled()
    assert stored == list(range(18_000 - len(stored), 18_000))
    assert spooled == list(range(18_000 - len(spooled), 18_000))
    assert min(len(stored), len(spooled)) > 1_000
    await gateway.writer.close()


def test_quotas_are_capped_by_the_size_of_the_disk():
    limits, said = fitted(StoreTable(), 8_000 * BYTES_PER_MB)
    assert (limits.series_most_mb, limits.spool_most_mb) == (4000.0, 1600.0)
    assert said[0] == (
        "store.series_most_mb: 8192 MB is more than 50% of the disk (8000 MB): 4000 MB are kept"
    )
    assert len(said) == 2
    assert fitted(StoreTable(), 64_000 * BYTES_PER_MB) == (StoreTable(), [])
