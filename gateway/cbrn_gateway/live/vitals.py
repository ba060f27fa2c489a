"""What must go on in a daemon that is alive: its tasks, its turns, the threads of its stores."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from cbrn_core.clock import Clock
from cbrn_core.times import US_PER_S
from cbrn_gateway.live.service import Vital
from cbrn_gateway.live.supervisor import Health, Supervisor
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.writer import Writer

PATIENCE_S = 20.0


class Vitals:
    """The vitals of one daemon, iterable; each says in plain words what does not go on.

    A disk that hangs is no vital: alarms go on from memory (safety 18), a restart would lose
    them and cannot mend the disk (see `StoreWatch`).

    `watchdog_s`: how long the service manager waits; a third of it is the patience here.
    """

    def __init__(self, clock: Clock, watchdog_s: float | None) -> None:
        self._clock = clock
        self._within_s = PATIENCE_S if watchdog_s is None else watchdog_s / 3
        self._vitals: list[Vital] = []

    def __iter__(self) -> Iterator[Vital]:
        """Return the vitals in the order in which they were added."""
        return iter(self._vitals)

    def add_tasks(self, tasks: Sequence["asyncio.Task[None]"]) -> None:
        """Watch tasks that last as long as the daemon."""
        self._vitals.append(partial(_ended_task, tasks))

    def add_supervisors(self, supervisors: Callable[[], Sequence[Supervisor]]) -> None:
        """Watch supervisors: one that waits for its wire is alive, one that stopped is not."""
        self._vitals.append(lambda: _stopped_supervisor(supervisors()))

    def add_turns(self, turned_us: Callable[[], int | None]) -> None:
        """Watch the pipeline's turns; `turned_us` is the steady time of the last."""
        self._vitals.append(lambda: self._late_turn(turned_us()))

    def add_stores(self, journal: Journal, writer: Writer) -> None:
        """Watch that the threads of the journal and of the writer of readings are there."""
        self._vitals.append(lambda: None if journal.is_alive else "the journal's writer has died")
        self._vitals.append(lambda: None if writer.is_alive else "the store's writer has died")

    def _late_turn(self, turned_us: int | None) -> str | None:
        if turned_us is None:
            return "the pipeline has not turned yet"
        silent_s = (self._clock.now().steady_us - turned_us) / US_PER_S
        if silent_s <= self._within_s:
            return None
        return f"the pipeline has not turned for {silent_s:.0f} s"


def _ended_task(tasks: Sequence["asyncio.Task[None]"]) -> str | None:
    ended = [task.get_name() for task in tasks if task.done()]
    return f"ended: {', '.join(ended)}" if ended else None


def _stopped_supervisor(supervisors: Sequence[Supervisor]) -> str | None:
    stopped = [known.name for known in supervisors if known.health is Health.STOPPED]
    return f"stopped: {', '.join(stopped)}" if stopped else None
