"""No test of the whole daemon passes in which something blocked its loop."""

from collections.abc import Iterator

import pytest
from samples.blocking_calls import BlockingCalls


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> Iterator[None]:
    with BlockingCalls() as calls:
        yield
    assert not calls.found, "\n".join(calls.found)
