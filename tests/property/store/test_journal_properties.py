"""Whatever order appends, deliveries, kills and restarts come in, the outbox keeps its word."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)
from samples.store_samples import EPOCH, alert, copy_as_after_kill, event

from cbrn_core.errors import StorageError
from cbrn_gateway.store.journal_file import JournalFile
from cbrn_gateway.store.outbox import Consumer, Start, View
from cbrn_gateway.store.verify import verify_journal

NEWEST = ("mqtt", "soc")
CONSUMERS = [
    *(Consumer(name, View.NEWEST) for name in NEWEST),
    Consumer("log", View.LOG, Start.BEGINNING),
]

alarm_ids = st.sampled_from(["a", "b", "c", "d"])
versions = st.integers(1, 6)
alerts = st.builds(
    alert,
    alarm_ids,
    versions,
    priority=st.sampled_from([1, 2, 3, "D"]),
    state=st.sampled_from(["unack", "ack", "normal"]),
    purpose=st.sampled_from(["actual", "exercise"]),
    value=st.floats(allow_nan=False, allow_infinity=False),
)
events = st.builds(event, st.text(st.characters(codec="utf-8"), max_size=20))
batches = st.lists(alerts | events, min_size=1, max_size=4)


class JournalUse(RuleBasedStateMachine):
    """A model of the journal in plain lists, run beside the real file."""

    in_flight = Bundle("in_flight")

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "0" / "journal.db"
        self.path.parent.mkdir()
        self.kills = 0
        self.log = []
        self.newest = {}
        self.undelivered = {name: {} for name in NEWEST}
        self.told = {name: {} for name in NEWEST}
        self.cursor = 0
        self.open_journal()

    def open_journal(self):
        self.journal = JournalFile(self.path, epoch=EPOCH + self.kills)
        self.journal.set_consumers(CONSUMERS)
        # a cache of one page: what is not committed lies in the log when a kill comes
        self.journal.database.connection.execute("PRAGMA cache_size=1")

    @rule(entries=batches)
    def append(self, entries):
        sealed = self.journal.append(entries)
        known = {(e["id"], e["properties"]["version"]): e for e in self.log if "id" in e}
        for given, entry in zip(entries, sealed, strict=True):
            identity = (given.get("id"), given.get("properties", {}).get("version"))
            if identity in known:
                assert entry == known[identity]
                continue
            self.log.append(entry)
            if "id" in given:
                known[identity] = entry
                self.expect(given["id"], entry["properties"])

    def expect(self, alarm_id, fields):
        newest = self.newest.get(alarm_id)
        if newest is None or fields["version"] > newest["version"]:
            self.newest[alarm_id] = fields
            for waiting in self.undelivered.values():
                waiting[alarm_id] = fields

    @rule(entries=batches)
    def append_with_one_that_is_refused(self, entries):
        with pytest.raises(StorageError):
            self.journal.append([*entries, event(bad=float("nan"))])

    @rule(target=in_flight, consumer=st.sampled_from(NEWEST), limit=st.integers(1, 5))
    def take(self, consumer, limit):
        pending = self.journal.pending_newest(consumer, limit)
        for p in pending:
            # never backwards per alarm, whatever was in flight
            assert p.version >= self.told[consumer].get(p.alarm_id, p.version)
            self.told[consumer][p.alarm_id] = p.version
        return multiple((consumer, pending)) if pending else multiple()

    @rule(taken=consumes(in_flight))
    def deliver(self, taken):
        consumer, pending = taken
        self.journal.delivered(consumer, [p.seq for p in pending])
        for p in pending:
            fields = self.undelivered[consumer].get(p.alarm_id)
            if fields is not None and fields["seq"] == p.seq:
                del self.undelivered[consumer][p.alarm_id]

    @rule(limit=st.integers(1, 7), told=st.integers(0, 7))
    def follow_the_log(self, limit, told):
        pending = self.journal.pending_in_order("log", limit)
        if pending:
            self.cursor = pending[min(told, len(pending) - 1)].seq
            self.journal.advance("log", self.cursor)

    @rule(back=st.integers(0, 10))
    def step_back_in_the_log(self, back):
        self.journal.advance("log", max(0, self.cursor - back))

    @rule()
    def fail_at_the_commit(self):
        def failing():
            with self.journal.database.transaction():
                self.journal.append([alert("a", 99), event()])
                raise StorageError("the disk went away")

        with pytest.raises(StorageError):
            failing()

    @rule()
    def restart(self):
        self.journal.close()
        self.open_journal()

    @rule(midway=st.booleans())
    def kill(self, midway):
        self.kills += 1
        target = self.folder / str(self.kills)
        killed, path = self.journal, self.path

        def dying():
            with killed.database.transaction():
                if midway:
                    killed.append([alert("b", 98), event("x" * 50_000)])
                self.path = copy_as_after_kill(path, target)
                raise StorageError("killed")

        with pytest.raises(StorageError):
            dying()
        killed.close()
        self.open_journal()

    @invariant()
    def the_outbox_holds_exactly_what_is_undelivered(self):
        for consumer, waiting in self.undelivered.items():
            found = self.journal.pending_newest(consumer)
            assert {p.alarm_id: p.seq for p in found} == {
                alarm_id: fields["seq"] for alarm_id, fields in waiting.items()
            }
            ranks = [
                (fields["purpose"] != "actual", str(fields["priority"]), fields["seq"])
                for fields in (p.decode()["properties"] for p in found)
            ]
            assert ranks == sorted(ranks)

    @invariant()
    def the_log_has_no_gap(self):
        assert [e.decode() for e in self.journal.entries()] == self.log
        pending = self.journal.pending_in_order("log", 10_000)
        assert [e.seq for e in pending] == list(range(self.cursor + 1, len(self.log) + 1))

    @invariant()
    def open_alerts_are_the_newest_that_are_not_normal(self):
        assert {e.alarm_id: e.seq for e in self.journal.open_alerts()} == {
            alarm_id: fields["seq"]
            for alarm_id, fields in self.newest.items()
            if fields["state"] != "normal"
        }

    def teardown(self):
        if hasattr(self, "journal"):
            report = verify_journal(self.path)
            self.journal.close()
            shutil.rmtree(self.folder)
            assert report.ok, str(report)
            assert report.entries == len(self.log)


JournalUse.TestCase.settings = settings(stateful_step_count=30)
test_any_use_keeps_the_promises_of_the_outbox = JournalUse.TestCase
