"""Finds calls that block the event loop, and not those of a machine that is merely busy.

A callback that takes long is measured three ways: by the wall, by the time it ran and by
the time it stood in the queue for a processor (/proc/…/schedstat). What is left it slept
in the kernel: a blocking call. Time that other threads of this process waited for a
processor is taken off too: one of them may have held the interpreter's lock.
"""

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

MOST_BLOCKED_S = 0.25
_SAMPLE_AFTER_S = 0.1
_SAMPLE_EVERY_S = 0.05
_BASELINE_EVERY_S = 0.5
_NS_PER_S = 1e9
_OURS = ("/gateway/cbrn_", "/drivers/cbrn_", "/fusion/cbrn_")
_START_AND_END = frozenset({"_make_stores", "_resume", "_close_stores"})
"""Before the first turn and after the last nothing waits for the loop."""
_STATS = "/proc/thread-self/schedstat"


class BlockingCalls:
    """`with` it around a loop that runs in this thread; `found` says what blocked, and where."""

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self.found: list[str] = []
        self._tell = tell or self.found.append
        self._began_s: float | None = None
        self._stack: list[traceback.FrameSummary] = []
        self._ended = threading.Event()
        self._others = (0.0, 0.0)

    def __enter__(self) -> Self:
        if not Path(_STATS).exists():
            return self  # only Linux tells how long a thread stood in the queue
        self._thread_id = threading.get_ident()
        self._native_id = str(threading.get_native_id())
        self._stats = os.open(_STATS, os.O_RDONLY)
        self._run = asyncio.Handle._run
        calls, run = self, self._run

        def measured(handle: asyncio.Handle) -> Any:
            return calls._measure(handle, run)

        asyncio.Handle._run = measured  # type: ignore[method-assign]
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *error: object) -> None:
        if not Path(_STATS).exists():
            return
        asyncio.Handle._run = self._run  # type: ignore[method-assign]
        self._ended.set()
        self._sampler.join()
        os.close(self._stats)

    def _measure(self, handle: asyncio.Handle, run: Callable[[asyncio.Handle], Any]) -> Any:
        if threading.get_ident() != self._thread_id:
            return run(handle)
        began_s = time.perf_counter()
        if began_s - self._others[0] > _BASELINE_EVERY_S:
            self._others = (began_s, self._waits_of_others_s())
        on_or_waiting_s = self._on_or_waiting_s()
        self._stack = []
        self._began_s = began_s
        try:
            return run(handle)
        finally:
            self._began_s = None
            blocked_s = time.perf_counter() - began_s
            if blocked_s > MOST_BLOCKED_S:
                blocked_s -= self._on_or_waiting_s() - on_or_waiting_s
                blocked_s -= self._waits_of_others_s() - self._others[1]
                self._judge(handle, blocked_s)

    def _judge(self, handle: asyncio.Handle, blocked_s: float) -> None:
        if blocked_s <= MOST_BLOCKED_S:
            return
        stack = self._stack
        ours = [frame for frame in stack if any(part in frame.filename for part in _OURS)]
        is_start_or_end = any(frame.name in _START_AND_END for frame in ours)
        if is_start_or_end or (stack and not ours):
            return
        where = "".join(traceback.format_list(stack[-8:])) or repr(handle)
        self._tell(f"the loop was blocked for {blocked_s * 1000:.0f} ms in\n{where}")

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_EVERY_S):
            began_s = self._began_s
            if began_s is None or self._stack or time.perf_counter() - began_s < _SAMPLE_AFTER_S:
                continue
            frame = sys._current_frames().get(self._thread_id)
            if frame is not None and self._began_s == began_s:
                self._stack = list(traceback.extract_stack(frame))

    def _on_or_waiting_s(self) -> float:
        """Return how long this thread ran or waited for a processor so far."""
        ran_ns, waited_ns, _ = os.pread(self._stats, 100, 0).split()
        return (int(ran_ns) + int(waited_ns)) / _NS_PER_S

    def _waits_of_others_s(self) -> float:
        waits_ns = 0
        for task in Path("/proc/self/task").iterdir():
            if task.name != self._native_id:
                try:
                    stats = (task / "schedstat").read_bytes()
                except OSError:
                    continue  # it has ended meanwhile
                waits_ns += int(stats.split()[1])
        return waits_ns / _NS_PER_S
