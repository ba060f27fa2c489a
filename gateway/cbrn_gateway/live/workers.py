"""Tasks that come and go by name while others go on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Work = Callable[[], Coroutine[Any, Any, None]]


class Workers:
    """`run` runs all that is there and all that comes; the first failure ends it."""

    def __init__(self) -> None:
        self._works: dict[str, Work] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def add(self, name: str, work: Work) -> None:
        """Start a piece of work, at once or as soon as `run` does."""
        self._works[name] = work
        if self._group is not None:
            self._tasks[name] = self._group.create_task(work(), name=name)

    async def remove(self, name: str) -> None:
        """End a piece of work and wait until it has ended."""
        self._works.pop(name, None)
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def run(self) -> None:
        """Run until cancelled, or until a piece of work fails."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for name, work in self._works.items():
                    self._tasks[name] = group.create_task(work(), name=name)
                await asyncio.get_running_loop().create_future()
        finally:
            self._group = None
            self._tasks.clear()
