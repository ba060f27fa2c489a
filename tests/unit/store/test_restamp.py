"""What a wrong clock stamped gets its right time; what an instrument stamped keeps its own."""

import asyncio
from contextlib import closing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples
from samples.store_samples import EPOCH, START_US, estimate, reading

from cbrn_core.reading import Reading
from cbrn_gateway.store import roller
from cbrn_gateway.store.restamp import STEP_ROWS, move_samples
from cbrn_gateway.store.series import Series, SeriesReader, Snapshot
from cbrn_gateway.store.spool import Consequence, Spool, SpoolReader
from cbrn_gateway.store.writer import Batch, Writer

KEY = ("st04", "cl2")
HOUR_US = 3_600_000_000


def line_at(time_us: int) -> bytes:
    return b"chemical,station=st04 value=1.0 %d000" % time_us


class Stores:
    """Stores that an earlier run has used, and a writer of this run."""

    def __init__(self, folder, earlier: list[Reading]) -> None:
        self.folder = folder
        series = Series(folder / "series.db")
        series.append(earlier)
        spool = Spool(folder / "spool.db", epoch=EPOCH, max_rows=10_000, max_bytes=10_000_000)
        spool.append([line_at(r.time_us) for r in earlier], Consequence.READING, START_US)
        self.writer = Writer(series, spool, on_error=pytest.fail)

    def take(self, readings, *, with_estimates: bool = False) -> None:
        for one in readings:
            batch = Batch(
                readings=[one],
                estimates=[estimate_of(one)] if with_estimates else [],
                lines={Consequence.READING: [line_at(one.time_us)]},
                stored_us=one.received_us,
            )
            self.writer.submit(batch)

    def stored(self):
        with closing(SeriesReader(self.folder / "series.db")) as reader:
            return reader.readings(KEY), reader.estimates(KEY)

    def times(self) -> list[int]:
        return [r.time_us for r in self.stored()[0]]

    def spooled(self) -> list[bytes]:
        with closing(SpoolReader(self.folder / "spool.db")) as reader:
            return [row.line for row in reader.peek(10_000, 10**9)]


def estimate_of(one: Reading):
    return msgspec.structs.replace(estimate(), time_us=one.time_us, received_us=one.received_us)


async def restamped(folder, earlier, taken, shift_us: int, **more) -> tuple[Stores, int]:
    stores = Stores(folder, earlier)
    stores.take(taken, **more)
    moved = await stores.writer.restamp(shift_us)
    await stores.writer.close()
    return stores, moved


@pytest.mark.asyncio
@pytest.mark.parametrize("shift_us", [HOUR_US, 10_000_000, -10_000_000, -HOUR_US])
async def test_samples_of_this_run_move_with_their_estimates_and_lines(tmp_path, shift_us):
    earlier = [reading(second - 100_000) for second in range(3)]
    taken = [reading(second, value=float(second)) for second in range(30)]
    stores, moved = await restamped(tmp_path, earlier, taken, shift_us, with_estimates=True)
    readings, estimates = stores.stored()
    assert moved == 30
    right = [r.time_us + shift_us for r in taken]
    assert [r.time_us for r in readings] == [r.time_us for r in earlier] + right
    assert [r.value for r in readings][3:] == [float(second) for second in range(30)]
    assert [e.time_us for e in estimates] == right
    expected = [*(r.time_us for r in earlier), *right]
    assert stores.spooled() == [line_at(time_us) for time_us in expected]


@pytest.mark.asyncio
async def test_what_an_instrument_stamped_by_a_right_clock_stays(tmp_path):
    own, told = reading(5), msgspec.structs.replace(reading(5), time_us=START_US + HOUR_US)
    stores, moved = await restamped(tmp_path, [], [own, told], HOUR_US)
    assert moved == 1
    assert stores.times() == [told.time_us, own.time_us + HOUR_US]


@pytest.mark.asyncio
@pytest.mark.parametrize("base_us", [-HOUR_US // 2, HOUR_US])
async def test_what_a_believed_clock_stamped_moves_from_where_it_stood(tmp_path, base_us):
    taken = [msgspec.structs.replace(r, time_us=r.time_us + base_us) for r in map(reading, (3, 4))]
    stores = Stores(tmp_path, [])
    stores.take(taken)
    for expected in (2, 0):
        assert await stores.writer.restamp(HOUR_US, base_us) == expected
    await stores.writer.close()
    assert stores.times() == [r.time_us + HOUR_US for r in taken]


@pytest.mark.asyncio
async def test_moving_once_more_moves_nothing(tmp_path):
    stores = Stores(tmp_path, [])
    stores.take([reading(second) for second in range(20)])
    assert await stores.writer.restamp(HOUR_US) == 20
    before = stores.times(), stores.spooled()
    assert await stores.writer.restamp(HOUR_US) == 0
    assert (stores.times(), stores.spooled()) == before
    await stores.writer.close()


@pytest.mark.asyncio
async def test_many_are_moved_in_steps_and_alarms_keep_their_place(tmp_path):
    stores = Stores(tmp_path, [])
    seconds = 2 * STEP_ROWS + 7
    stores.take([reading(second) for second in range(seconds)])
    alarm = b"alarm,station=st04 version=1i %d000" % START_US
    stores.writer.submit(Batch(lines={Consequence.ALARM: [alarm]}, stored_us=START_US))
    assert await stores.writer.restamp(HOUR_US) == seconds
    await stores.writer.close()
    assert stores.times() == [START_US + HOUR_US + s * 1_000_000 for s in range(seconds)]
    assert alarm in stores.spooled()


@pytest.fixture
def hasty(monkeypatch):
    """Let rows be rolled up at once and without a rest, piece by piece."""
    for name in ("FIRST_LOOK_S", "LOOK_EVERY_S", "STEP_PAUSE_S"):
        monkeypatch.setattr(roller, name, 0.001)
    monkeypatch.setattr(roller, "AIMED_STEP_S", -1.0)


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the writer's thread announces nothing
            await asyncio.sleep(0.001)


async def remembered(stores: Stores) -> None:
    """Take readings much later, and a snapshot: what came before may be rolled up."""
    stores.take([reading(9000, station="young"), reading(9001, station="young")])
    last_row = await stores.writer.flush()
    snapshot = Snapshot(journal_seq=0, last_row=last_row, config_hash="", state=b"")
    await stores.writer.save_snapshot(snapshot)


@pytest.mark.asyncio
async def test_what_may_still_be_moved_is_not_rolled_up_and_moves_all(tmp_path, hasty):
    earlier = [reading(second - 100_000) for second in range(50)]
    taken = [reading(second) for second in range(50)]
    stores = Stores(tmp_path, earlier)
    stores.writer.may_move = lambda: True
    stores.take(taken)
    await remembered(stores)
    await until(lambda: stores.writer.counters()["series_rolled"] == len(earlier))
    assert await stores.writer.restamp(HOUR_US) == len(taken) + 2
    assert stores.writer.counters()["series_rolled"] == len(earlier)
    stores.writer.may_move = lambda: False
    await until(lambda: stores.writer.counters()["series_rolled"] == len(earlier + taken))
    right = [r.time_us for r in earlier] + [r.time_us + HOUR_US for r in taken]
    assert stores.times() == right
    await stores.writer.close()


@pytest.mark.asyncio
async def test_moving_waits_until_what_is_being_rolled_up_is(tmp_path, hasty):
    taken = [reading(second, station=f"st{second % 40:02}") for second in range(200)]
    stores = Stores(tmp_path, [])
    stores.take(taken)
    await remembered(stores)
    with closing(SeriesReader(stores.folder / "series.db")) as reader:
        await until(lambda: any(reader._chunks.totals()))
    moved = await stores.writer.restamp(HOUR_US)
    await until(lambda: stores.writer.counters()["series_rolled"] == len(taken))
    with closing(SeriesReader(stores.folder / "series.db")) as reader:
        found = [
            r.time_us for number in range(40) for r in reader.readings((f"st{number:02}", "cl2"))
        ]
    # all of it was rolled up before, or all of it moved
    shift_us = {2: 0, len(taken) + 2: HOUR_US}[moved]
    assert sorted(found) == [r.time_us + shift_us for r in taken]
    await stores.writer.close()


@given(
    seconds=st.lists(st.integers(0, 60), unique=True, max_size=30),
    shift_s=st.integers(-40, 40).filter(lambda s: abs(s) > 1),
    steps=st.integers(1, 7),
)
@examples(30)
def test_no_sample_lands_on_another_however_short_the_way(
    tmp_path_factory, seconds, shift_s, steps
):
    folder = tmp_path_factory.mktemp("series")
    taken = [reading(second, value=float(second)) for second in sorted(seconds)]
    with closing(Series(folder / "series.db")) as series:
        series.append(taken)
        last, rows = move_samples(series.database, 0, None, shift_s * 1_000_000, most_rows=steps)
        while last is not None:
            last, more = move_samples(
                series.database, 0, last, shift_s * 1_000_000, most_rows=steps
            )
            rows += more
    with closing(SeriesReader(folder / "series.db")) as reader:
        found = [(r.time_us - START_US, r.value) for r in reader.readings(KEY)]
    assert rows == len(taken)
    assert found == [((s + shift_s) * 1_000_000, float(s)) for s in sorted(seconds)]


def test_readings_are_moved_while_others_arrive(tmp_path):
    async def moved_and_taken() -> list[int]:
        stores = Stores(tmp_path, [])
        stores.take([reading(second) for second in range(1200)])
        moving = asyncio.create_task(stores.writer.restamp(HOUR_US))
        right = [reading(second + 3600) for second in range(1200, 1230)]
        for one in right:
            stores.take([msgspec.structs.replace(one, received_us=one.time_us - HOUR_US)])
            await asyncio.sleep(0)
        assert await moving >= 1200
        await stores.writer.close()
        return stores.times()

    times = asyncio.run(moved_and_taken())
    assert times == [START_US + HOUR_US + s * 1_000_000 for s in range(1230)]
