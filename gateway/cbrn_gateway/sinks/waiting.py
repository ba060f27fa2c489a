"""Waiting in sinks: for something new, and for the first of several jobs to fail."""

import asyncio
from collections.abc import Coroutine
from typing import Any

_LOOK_EVERY_S = 1.0
_CANCEL_AGAIN_S = 1.0


async def wait_for_wake(wake: asyncio.Event) -> None:
    """Wait until something new is announced, or long enough that a look is due anyway."""
    # not asyncio.wait_for: in Python 3.11 it swallows a cancellation that meets the wake
    try:
        async with asyncio.timeout(_LOOK_EVERY_S):
            await wake.wait()
    except TimeoutError:
        return
    wake.clear()


async def run_until_one_fails(*jobs: Coroutine[Any, Any, None]) -> None:
    """Run the jobs together; the first error ends them all and is raised."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await _end(tasks)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: libraries use `wait_for`, which may swallow one."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=_CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
