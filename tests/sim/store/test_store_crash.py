"""Kills a process that writes, with real files, and judges what is left."""

import json
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from samples.store_samples import EPOCH, START_US, alert, reading, readings_after

from cbrn_gateway.store.journal_file import JournalFile
from cbrn_gateway.store.outbox import Consumer, Start, View
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.series_rows import SampleKind
from cbrn_gateway.store.spool import Spool
from cbrn_gateway.store.verify import verify_journal

CHILD = Path(__file__).with_name("appending_child.py")
KEY = ("st04", "cl2")
CONSUMERS = [Consumer("mqtt", View.NEWEST), Consumer("log", View.LOG, Start.BEGINNING)]


def several(few, longest):
    """Give `few` kills in CI, and sixty at random moments at night."""
    night = tuple(Random(longest).randrange(5, longest) for _ in range(60))
    many = pytest.param(night, id="sixty", marks=[pytest.mark.night, pytest.mark.timeout(0)])
    return pytest.mark.parametrize("kills", [pytest.param(few, id="three"), many])


def killed_after(acknowledgements, kind, folder):
    """Run the child, kill it after so many acknowledgements, return all that it gave."""
    child = subprocess.Popen([sys.executable, CHILD, kind, folder], stdout=subprocess.PIPE)
    with child:
        heard = [child.stdout.readline() for _ in range(acknowledgements)]
        child.send_signal(signal.SIGKILL)
        heard += child.stdout.readlines()
        assert child.wait() == -signal.SIGKILL
    return [json.loads(line) for line in heard if line.endswith(b"\n")]


@several((40, 173, 611), longest=700)
def test_every_acknowledged_entry_survives_every_kill(tmp_path, kills):
    path = tmp_path / "journal.db"
    acknowledged = {}
    delivered = {}
    for acknowledgements in kills:
        for said in killed_after(acknowledgements, "journal", tmp_path):
            if "seq" in said:
                acknowledged[said["seq"]] = said["hash"]
            else:
                delivered[said["delivered"]] = said["version"]
        report = verify_journal(path)
        assert report.ok, str(report)
        assert report.epochs == (EPOCH,)
        journal = JournalFile(path, epoch=EPOCH + 1)
        journal.set_consumers(CONSUMERS)
        entries = {e.seq: e.decode() for e in journal.entries(limit=10**6)}
        stored = {seq: e.get("properties", e)["hash"] for seq, e in entries.items()}
        assert acknowledged.items() <= stored.items()
        assert [e.seq for e in journal.pending_in_order("log", 10**6)] == sorted(stored)
        newest = {e["id"]: e["properties"]["version"] for e in entries.values() if "id" in e}
        pending = {p.alarm_id: p.version for p in journal.pending_newest("mqtt")}
        # nothing acknowledged as delivered comes again, nothing undelivered is missing
        for alarm_id, version in newest.items():
            assert pending.get(alarm_id, version) == version
            assert alarm_id in pending or delivered[alarm_id] <= version
        for alarm_id, version in delivered.items():
            assert pending.get(alarm_id, version + 1) > version
        assert {e.alarm_id for e in journal.open_alerts()} == set(newest)
        journal.close()


@several((5, 30, 80), longest=90)
def test_every_flushed_sample_survives_every_kill(tmp_path, kills):
    for run, acknowledgements in enumerate(kills):
        said = killed_after(acknowledgements, "series", tmp_path)
        committed = max(s["committed"] for s in said if "committed" in s)
        second = max(s["second"] for s in said if "second" in s)
        series = Series(tmp_path / "series.db")
        assert series.last_row() >= committed
        stored = series.readings(KEY, limit=10**6)
        assert stored[-1].time_us >= START_US + second * 1_000_000
        query = "SELECT COUNT(*) FROM chunks"
        (rolled,) = series.database.connection.execute(query).fetchone()
        counts = series.counts()[KEY], series.counts(SampleKind.ESTIMATE)[KEY]
        assert counts[0] == counts[1] == len({r.time_us for r in stored})
        snapshots = [s["snapshot"] for s in said if "snapshot" in s]
        snapshot = series.load_snapshot()
        assert snapshot.last_row >= max(snapshots)
        assert snapshot.last_row <= series.last_row()
        after = readings_after(series, snapshot.last_row)
        assert len(after) == (series.last_row() - snapshot.last_row) // 2
        seconds = [(r.time_us - START_US) // 1_000_000 for r in stored]
        assert [r.value for r in stored] == [float(second // 20) for second in seconds]
        # every run goes on at a later second than the one before ended
        gaps = sum(b - a != 1 for a, b in pairwise(seconds))
        assert gaps <= run
        assert sum(found.n for found in series.rollups(KEY)) == len(stored)
        series.close()
        spool = Spool(tmp_path / "spool.db", epoch=EPOCH, max_rows=10**6, max_bytes=10**9)
        lines = spool.peek(10**6, 10**9)
        assert len(lines) == spool.fill().rows
        assert sum(len(row.line) for row in lines) == spool.fill().bytes
        assert b"chemical value=%d 1" % second in {row.line for row in lines}
        spool.close()
    assert rolled > 0


READER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from samples.store_samples import readings_after
from cbrn_gateway.store.journal_file import JournalReader
from cbrn_gateway.store.series import SeriesReader
from cbrn_gateway.store.verify import verify_journal
folder = Path(sys.argv[1])
journal, series = JournalReader(folder / "journal.db"), SeriesReader(folder / "series.db")
print("ready", flush=True)
for line in sys.stdin:
    seq, row = map(int, line.split())
    entries = journal.entries(limit=10**6)
    assert journal.head().seq >= seq, (journal.head(), seq)
    assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
    assert len(entries) >= seq
    counted, found = series.counts()["st04", "cl2"], readings_after(series, 0)
    assert row <= counted <= len(found)
    assert [r.time_us for r in found] == sorted({r.time_us for r in found})
    report = verify_journal(folder / "journal.db")
    assert report.ok, report
    print("seen", flush=True)
"""


@pytest.fixture
def children():
    """Processes that end with the test, whatever it finds."""
    started = []
    yield started
    for child in started:
        with child:
            child.kill()


def test_two_processes_read_while_one_writes(tmp_path, children):
    journal = JournalFile(tmp_path / "journal.db", epoch=EPOCH)
    series = Series(tmp_path / "series.db")
    series.append([reading(0)])
    command = [sys.executable, "-c", READER, tmp_path, Path(__file__).parents[2]]
    pipe = subprocess.PIPE
    for _ in range(2):
        children.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
    for child in children:
        assert child.stdout.readline() == "ready\n", child.stderr.read()
    for _ in range(10):
        for child in children:
            child.stdin.write(f"{journal.head().seq} {series.last_row()}\n")
            child.stdin.flush()
        for _ in range(20):
            # while the children read
            journal.append([alert(version=journal.head().seq + 1)])
            second = series.last_row()
            series.append([reading(second), reading(second + 1)])
        for child in children:
            assert child.stdout.readline() == "seen\n", child.stderr.read()
    for child in children:
        _, complaint = child.communicate()
        assert (child.returncode, complaint) == (0, "")
    assert journal.head().seq == 200
    journal.close()
    series.close()
