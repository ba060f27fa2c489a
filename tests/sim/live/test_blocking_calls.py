"""The detector of blocking calls sees a blocking call and forgives a busy processor."""

import asyncio
import time
from pathlib import Path

import pytest
from samples.blocking_calls import BlockingCalls

pytestmark = pytest.mark.skipif(
    not Path("/proc/thread-self/schedstat").exists(), reason="only Linux tells the waits"
)


def in_our_tree(source: str):
    """Return a function whose frames look as if they were the gateway's."""
    names: dict = {"time": time}
    exec(compile(source, "/gateway/cbrn_gateway/live/blocked.py", "exec"), names)
    return names["call"]


SLEEPS = in_our_tree("def call():\n    time.sleep(0.4)\n")
SLEEPS_AT_THE_START = in_our_tree(
    "def _resume():\n    time.sleep(0.4)\ndef call():\n    _resume()\n"
)
WORKS = in_our_tree(
    "def call():\n    until = time.thread_time() + 0.4\n"
    "    while time.thread_time() < until:\n        pass\n"
)


async def called(function) -> None:
    asyncio.get_running_loop().call_soon(function)
    await asyncio.sleep(0.01)


def found(function) -> list[str]:
    with BlockingCalls() as calls:
        asyncio.run(called(function))
    return calls.found


def test_a_call_that_sleeps_in_the_kernel_is_found_with_its_place():
    (told,) = found(SLEEPS)
    assert "the loop was blocked for" in told
    assert "live/blocked.py" in told


def test_a_call_that_works_for_as_long_is_not_a_blocking_call():
    assert found(WORKS) == []


def test_the_test_itself_and_the_start_of_the_daemon_may_block():
    assert found(lambda: time.sleep(0.4)) == []
    assert found(SLEEPS_AT_THE_START) == []


def test_afterwards_the_loop_is_as_it_was():
    before = asyncio.Handle._run
    with BlockingCalls():
        assert asyncio.Handle._run is not before
    assert asyncio.Handle._run is before
