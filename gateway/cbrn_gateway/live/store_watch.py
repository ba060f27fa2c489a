"""Tells of a disk that does not answer, also while no alarm waits for it."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from cbrn_core.alarm import Reason
from cbrn_core.clock import Clock
from cbrn_gateway.alarms.texts_types import StoreLevel
from cbrn_gateway.live.notices import Notices
from cbrn_gateway.live.service import Answers
from cbrn_gateway.sinks.outbox import ALERTS_CONSUMER
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.probe import Probe
from cbrn_gateway.store.writer import Writer

_LOG = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
WITHIN_S = 5.0
PROBE_EVERY_S = 3.0
LATE_LOOKS = 3
"""So often in a row an answer is overdue before it is told: a process that was given no time
for a while hears at its next look what has come meanwhile."""

ABOUT = "disk-answers"


class StoreWatch:
    """Asks the threads of the stores and the disk itself; `run` until cancelled."""

    def __init__(self, answers: Sequence[Answers], clock: Clock, notices: Notices) -> None:
        self._answers = answers
        self._clock = clock
        self._notices = notices
        self._late_looks = 0

    @classmethod
    def of(
        cls, journal: Journal, writer: Writer, probe: Probe, clock: Clock, notices: Notices
    ) -> "StoreWatch":
        """Watch the stores of one `data_dir`."""
        # retiring nothing goes through the writing thread and leaves the disk alone
        retire_nothing = partial(journal.delivered, ALERTS_CONSUMER, ())
        asks: dict[str, Callable[[], Awaitable[object]]] = {
            "the journal's writer": retire_nothing,
            "the journal's reader": journal.head,
            "the store's writer": writer.flush,
            "the spool's reader": writer.spool_fill,
        }
        answers = [Answers(name, ask, clock, WITHIN_S) for name, ask in asks.items()]
        answers.append(Answers("the disk", probe.ask, clock, WITHIN_S, PROBE_EVERY_S))
        return cls(answers, clock, notices)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Ask whoever has answered, and tell where somebody does not."""
        # all are asked, every time
        found = [answer.silent_since_us() for answer in self._answers]
        silent_us = [since_us for since_us in found if since_us is not None]
        if not silent_us:
            self._late_looks = 0
            if not any(answer.is_waiting for answer in self._answers):
                self._notices.mended(Reason.STORE_FAILED, ABOUT)
            return
        self._late_looks += 1
        if self._late_looks == LATE_LOOKS:
            _LOG.error("the disk does not answer: %s", "; ".join(self.worries()))
        if self._late_looks >= LATE_LOOKS:
            facts = {"since_us": min(silent_us)}
            level = StoreLevel.DISK_SILENT.value
            self._notices.failing(Reason.STORE_FAILED, ABOUT, "", level, facts)

    def worries(self) -> list[str]:
        """Return in plain words who does not answer."""
        return [worry for answer in self._answers if (worry := answer()) is not None]
