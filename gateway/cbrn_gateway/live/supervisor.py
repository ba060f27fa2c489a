"""One supervisor class, an instance per bus and per sink: retry is decided by error type."""

import logging
import random
from collections.abc import Awaitable, Callable
from enum import StrEnum

from cbrn_core.clock import Clock
from cbrn_core.errors import ConfigError, DeliveryError, DriverError, Refused, StorageError

_LOG = logging.getLogger(__name__)

FIRST_WAIT_S = 0.25
MOST_WAIT_S = 30.0
PROMPT_WAIT_S = 2.0
"""Where an attempt is cheap: what is back is heard within three seconds."""

REFUSED_WAIT_S = 10.0


class Health(StrEnum):
    """What a supervised worker is doing."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"


class Supervisor:
    """Keeps one worker alive: restarts are jittered, never bounded in count.

    The wait doubles up to `most_wait_s`. `work` runs until it is cancelled or raises.
    `progressed` is called by the worker's owner whenever something good came through; it
    resets the back-off. `answered` is for a far end whose first answer proves little: it is
    believed, but not by the back-off, and not again after a connection that broke off early.

    Attributes:
        wait_s: the wait that runs, or ran last, before a new attempt.
        failing_since_us: steady time of the first failure since the last progress.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        clock: Clock,
        on_change: Callable[["Supervisor"], None] = lambda _: None,
        *,
        most_wait_s: float = MOST_WAIT_S,
    ) -> None:
        self.name = name
        self.health = Health.STARTING
        self.restarts = 0
        self.last_error: str | None = None
        self.failing_since_us: int | None = None
        self.wait_s = 0.0
        self._work = work
        self._clock = clock
        self._on_change = on_change
        self._most_wait_s = most_wait_s
        self._next_s = FIRST_WAIT_S
        self._is_on_trial = False
        self._broke_off = False
        self._doubtful_since_us: int | None = None

    @property
    def plain_error(self) -> str:
        """Return the words of the last error, without the name of its class."""
        kind, colon, words = (self.last_error or "").partition(": ")
        return words if colon and kind.isidentifier() else (self.last_error or "")

    def progressed(self) -> None:
        """Say that the worker has just done something good."""
        self._next_s = FIRST_WAIT_S
        self._is_on_trial = self._broke_off = False
        self._doubtful_since_us = None
        self._believe()

    def answered(self) -> bool:
        """Say that the far end has answered; return whether that is believed.

        Until `progressed` a failure counts from where it began before.
        """
        if not self._broke_off:
            self._is_on_trial = True
            self._doubtful_since_us = self.failing_since_us
            self._believe()
        return not self._broke_off

    async def run(self) -> None:
        """Run until cancelled; a wire that cannot be used as configured is tried again."""
        try:
            while True:
                self._turn(Health.STARTING)
                self.wait_s = await self._attempt()
                self._note_failure()
                self.restarts += 1
                self._turn(Health.WAITING)
                await self._clock.sleep(self.wait_s)
        finally:
            self._turn(Health.STOPPED)

    async def _attempt(self) -> float:
        """Run the worker once; return how long to wait before the next time."""
        try:
            await self._work()
        except (ConfigError, Refused) as error:
            self._note(error)
            return REFUSED_WAIT_S
        except (DriverError, DeliveryError, StorageError, OSError) as error:
            self._note(error)
        except Exception as error:  # noqa: BLE001 - the one place that keeps a defect from killing a bus
            _LOG.exception("%s: unexpected failure, restarting", self.name)
            self.last_error = f"{type(error).__name__}: {error}"
        else:
            self.last_error = "ended by itself"
        return self._next_wait_s()

    def _believe(self) -> None:
        self.failing_since_us = None
        if self.health is not Health.RUNNING:
            self._turn(Health.RUNNING)

    def _note_failure(self) -> None:
        self._broke_off |= self._is_on_trial
        self._is_on_trial = False
        if self.failing_since_us is None:
            now_us = self._clock.now().steady_us
            before_us = self._doubtful_since_us
            self.failing_since_us = now_us if before_us is None else before_us

    def _note(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if text != self.last_error:
            _LOG.warning("%s: %s", self.name, text)
        self.last_error = text

    def _next_wait_s(self) -> float:
        wait_s = self._next_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        self._next_s = min(self._next_s * 2, self._most_wait_s)
        return wait_s

    def _turn(self, health: Health) -> None:
        self.health = health
        self._on_change(self)
