"""Readings and their lines are taken at one moment: a kill between two files leaves no orphan."""

import asyncio

import pytest
from samples.store_samples import EPOCH, reading

from cbrn_gateway.store.series import Series
from cbrn_gateway.store.spool import Consequence, Spool, SpoolReader
from cbrn_gateway.store.writer import Batch, Writer


def batch(second):
    line = b"chemical value=1 %d" % second
    return Batch(readings=[reading(second)], lines={Consequence.READING: [line]})


@pytest.mark.asyncio
async def test_no_line_is_spooled_before_its_reading_is_stored(tmp_path):
    series = Series(tmp_path / "series.db")
    spool = Spool(tmp_path / "spool.db", epoch=EPOCH, max_rows=100, max_bytes=100_000)
    writer = Writer(series, spool, on_error=print, interval_s=0.001)
    reader = SpoolReader(tmp_path / "spool.db")
    write, lines_before, twice = writer._write_samples, [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def while_another_comes(rows):
        lines_before.append(len(reader.peek(100, 100_000)))
        write(rows)
        if len(lines_before) == 1:
            writer.submit(batch(2))
        else:
            loop.call_soon_threadsafe(twice.set)

    writer._series_lane._write = while_another_comes
    writer.submit(batch(1))
    await asyncio.wait_for(twice.wait(), 10)
    await writer.close()
    reader.close()
    assert lines_before == [0, 1]
