"""A process that may write files of a certain size only: `limited_child.py FOLDER BYTES`.

Writes readings and alerts until both files refuse, then lifts its own limit, and prints
what was refused and what is stored in the end as one line of JSON.
"""

import asyncio
import json
import resource
import sys
from pathlib import Path

from samples.store_samples import EPOCH, alert, reading

from cbrn_core.errors import StorageError
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.outbox import Consumer, View
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.spool import Consequence, Spool
from cbrn_gateway.store.writer import Batch, Writer

ROWS = 500


async def run(folder: Path, most_bytes: int) -> dict:
    journal = Journal.open(
        folder / "journal.db", epoch=EPOCH, consumers=[Consumer("mqtt", View.NEWEST)]
    )
    series = Series(folder / "series.db")
    spool = Spool(folder / "spool.db", epoch=EPOCH, max_rows=10**6, max_bytes=10**9)
    refused: list[str] = []
    writer = Writer(
        series, spool, on_error=lambda error: refused.append(str(error)), interval_s=0.01
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))
    submitted = 0
    while len(refused) < 2:
        seconds = range(submitted, submitted + ROWS)
        lines = {Consequence.READING: [b"x" * 200] * ROWS}
        writer.submit(Batch(readings=[reading(s) for s in seconds], lines=lines))
        submitted += ROWS
        await asyncio.sleep(0.02)
    versions = 0
    journal_refused = ""
    while not journal_refused:
        try:
            await journal.append([alert(version=versions + 1)])
        except StorageError as error:
            journal_refused = str(error)
        else:
            versions += 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await journal.append([alert(version=versions + 1)])
    await writer.flush()
    answer = {
        "refused": refused[0],
        "journal_refused": journal_refused,
        "submitted": submitted,
        "stored": series.last_row(),
        "spooled": spool.fill().rows,
        "versions": versions + 1,
        "journalled": (await journal.head()).seq,
    }
    await writer.close()
    await journal.close()
    return answer


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2])))))
