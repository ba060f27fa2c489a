"""Child of the crash tests: appends without end and says on stdout what is acknowledged.

``appending_child.py journal|series PATH``; one JSON line per acknowledgement.
"""

import asyncio
import json
import sys
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from samples.store_samples import EPOCH, alert, estimate, event, reading

from cbrn_gateway.store import roller
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.outbox import Consumer, Start, View
from cbrn_gateway.store.series import Series, Snapshot
from cbrn_gateway.store.spool import Consequence, Spool
from cbrn_gateway.store.writer import Batch, Writer

CONSUMERS = [Consumer("mqtt", View.NEWEST), Consumer("log", View.LOG, Start.BEGINNING)]


def acknowledge(**facts):
    print(json.dumps(facts), flush=True)


async def append_alerts(folder: Path):
    journal = Journal.open(folder / "journal.db", epoch=EPOCH, consumers=CONSUMERS)
    first = (await journal.head()).seq
    for n in count(first):
        entries = [alert(f"a{n % 7}", n), event("x" * (n % 3000))]
        sealed = await journal.append(entries)
        acknowledge(seq=sealed[0]["properties"]["seq"], hash=sealed[0]["properties"]["hash"])
        acknowledge(seq=sealed[1]["seq"], hash=sealed[1]["hash"])
        if n % 5 == 0:
            (pending, *_) = await journal.pending_newest("mqtt")
            await journal.delivered("mqtt", [pending.seq])
            acknowledge(delivered=pending.alarm_id, version=pending.version)


async def append_samples(folder: Path):
    # rolled up all the time, so that kills hit it
    roller.FIRST_LOOK_S = roller.LOOK_EVERY_S = roller.STEP_PAUSE_S = 0.002
    roller.ROLLED_AFTER_S = roller.SETTLED_AFTER_S = 60.0
    series = Series(folder / "series.db")
    spool = Spool(folder / "spool.db", epoch=EPOCH, max_rows=10**6, max_bytes=10**9)
    writer = Writer(series, spool, on_error=print, commit_rows=50)
    first = series.last_row()
    for n in count(first):
        lines = [b"chemical value=%d 1" % k for k in range(20 * n, 20 * n + 20)]
        row = writer.submit(
            Batch(
                readings=[reading(20 * n + k, float(n)) for k in range(20)],
                estimates=[estimate(20 * n + k) for k in range(20)],
                lines={Consequence.READING: lines},
            )
        )
        if n % 3 == 0:
            committed = await writer.flush()
            acknowledge(committed=committed, second=20 * n + 19)
        if n % 10 == 0:
            await writer.save_snapshot(
                Snapshot(journal_seq=n, last_row=row, config_hash="c", state=b"s" * 5000)
            )
            acknowledge(snapshot=row)
        await asyncio.sleep(0)


if __name__ == "__main__":
    work = {"journal": append_alerts, "series": append_samples}[sys.argv[1]]
    asyncio.run(work(Path(sys.argv[2])))
