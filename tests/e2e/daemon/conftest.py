"""Fixtures of the acceptance tests: squares and daemons that never outlive their test."""

from collections.abc import Callable, Iterator

import pytest
from e2e.gateway_process import Daemon, Square


@pytest.fixture
def new_square(tmp_path) -> Iterator[Callable[..., Square]]:
    """Make simulated squares that are switched off after the test."""
    made: list[Square] = []

    def make(seed: int = 1) -> Square:
        made.append(Square(tmp_path / f"square{len(made)}", seed))
        return made[-1]

    yield make
    for square in made:
        square.stop()


@pytest.fixture
def new_daemon(tmp_path) -> Iterator[Callable[[str], Daemon]]:
    """Make daemons from the text of a site file; whoever still runs is killed after the test."""
    made: list[Daemon] = []

    def make(site_text: str, folder=None) -> Daemon:
        made.append(Daemon(folder or tmp_path / f"gateway{len(made)}", site_text))
        return made[-1]

    yield make
    for daemon in made:
        daemon.kill()
    assert not "".join(daemon.blocking_calls() for daemon in made)
