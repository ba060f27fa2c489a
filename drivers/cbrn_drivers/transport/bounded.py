"""Calls of a library that may not come back: bounded in time, even in their own tidying up."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from cbrn_core.errors import ReadTimeout

TIDY_S = 2.0

T = TypeVar("T")


async def bounded(work: Coroutine[Any, Any, T], limit_s: float) -> T:
    """Return the result of `work`.

    Some libraries tidy up by another call when they are cancelled, which a dead peer does
    not answer either: then the work is cancelled a second time, and left behind at last.

    Raises:
        ReadTimeout: it takes longer than `limit_s`.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=limit_s)
        if not task.done():
            raise ReadTimeout(f"no answer in {limit_s:g} s")
        return task.result()
    finally:
        for _ in range(2):
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=TIDY_S)
        if task.done() and not task.cancelled():
            task.exception()
