"""A series store as an earlier run of a large square left it: millions of rows to be rolled up."""

import sqlite3
from contextlib import closing
from pathlib import Path

from samples.store_samples import START_US, reading

from cbrn_gateway.store.series import Series
from cbrn_gateway.store.series_reader import Snapshot

OLD_CHANNELS = 500
_US_PER_S = 1_000_000


def fill_with_old_rows(path: Path, seconds: int) -> None:
    """Store a row a second of 500 channels, and the snapshot of the end of that run."""
    series = Series(path)
    series.append([reading(0, station=f"old{number:03}") for number in range(OLD_CHANNELS)])
    rows = OLD_CHANNELS * seconds
    with series.database.transaction() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO head"
            " (row, channel_id, time_us, received_us, value, sigma, quality)"
            " WITH RECURSIVE numbers (n) AS"
            " (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :rows)"
            " SELECT n + 1, n % :channels + 1, :start_us + n / :channels * 1000000,"
            " :start_us + n / :channels * 1000000, n / 100.0, 0.1, 0 FROM numbers",
            {"rows": rows, "channels": OLD_CHANNELS, "start_us": START_US},
        )
    series.save_snapshot(Snapshot(journal_seq=0, last_row=rows, config_hash="", state=b""))
    series.close()


def last_old_us(seconds: int) -> int:
    """Return a time after the last old row."""
    return START_US + seconds * _US_PER_S


def one_number(data_dir: Path, query: str, *values: object) -> int:
    """Return the one number that a query of the series store gives."""
    path = data_dir / "series.db"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as series:
        ((number,),) = series.execute(query, values).fetchall()
    return int(number)
