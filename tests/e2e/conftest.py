"""Real servers as fixtures: shared ones per module, own ones for tests that kill them."""

from collections.abc import Iterator

import pytest
from e2e.servers import Influx, Mosquitto


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> Iterator[Mosquitto]:
    """A running mosquitto, shared by the tests of a module: use ids of your own."""
    server = Mosquitto(tmp_path_factory.mktemp("mosquitto"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_broker(tmp_path) -> Iterator[Mosquitto]:
    """A running mosquitto that the test may kill and start again."""
    server = Mosquitto(tmp_path / "mosquitto")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def influx(tmp_path_factory) -> Iterator[Influx]:
    """A running influxd behind the v2 rewrite, shared by the tests of a module."""
    server = Influx(tmp_path_factory.mktemp("influx"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_influx(tmp_path) -> Iterator[Influx]:
    """A running influxd behind the v2 rewrite that the test may kill and start again."""
    server = Influx(tmp_path / "influx")
    server.start()
    yield server
    server.stop()
