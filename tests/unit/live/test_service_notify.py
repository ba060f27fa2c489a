"""sd_notify and the watchdog, with a clock that the test moves."""

import asyncio
import os
import socket

import pytest

from cbrn_core.clock import ManualClock
from cbrn_core.errors import StorageError
from cbrn_core.times import US_PER_S
from cbrn_gateway.live.service import Answers, Pace, Service, ServiceSocket
from cbrn_gateway.live.supervisor import Supervisor
from cbrn_gateway.live.vitals import Vitals

NOW_US = 1_780_000_000_000_000
WATCHDOG_S = 20.0


def gate():
    future = asyncio.get_running_loop().create_future()
    return future, lambda: future.done() or future.set_result(None)


class Manager:
    """What would be sent to the service manager."""

    def __init__(self, watchdog_s=WATCHDOG_S):
        self.watchdog_s = watchdog_s
        self.told = []

    def tell(self, *lines):
        self.told += lines

    def count(self, line):
        return self.told.count(line)


class Daemon:
    """A service whose troubles and turns the test decides."""

    def __init__(self, watchdog_s=WATCHDOG_S, vitals=None):
        self.clock = ManualClock(NOW_US, gate)
        self.manager = Manager(watchdog_s)
        self.is_turning = True
        self.trouble = None
        self.service = Service(
            self.manager,
            self.clock,
            is_turning=lambda: self.is_turning,
            vitals=[lambda: self.trouble] if vitals is None else vitals(self.clock),
            status=lambda: "2 open alarms;\n  7.0 readings/s",
        )

    async def __aenter__(self):
        self.task = asyncio.create_task(self.service.run())
        await self.lives(0)
        return self

    async def __aexit__(self, *error):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def lives(self, seconds, step_s=0.25):
        for _ in range(max(1, round(seconds / step_s))):
            self.clock.advance(step_s if seconds else 0)
            for _ in range(20):
                await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_ready_is_said_once_the_pipeline_turns_and_not_before():
    daemon = Daemon()
    daemon.is_turning = False
    async with daemon:
        await daemon.lives(30)
        assert daemon.manager.told == []
        daemon.is_turning = True
        await daemon.lives(1)
        assert daemon.manager.told[:2] == ["READY=1", "STATUS=2 open alarms; 7.0 readings/s"]
        await daemon.lives(60)
    assert daemon.manager.count("READY=1") == 1


@pytest.mark.asyncio
async def test_the_watchdog_is_fed_at_least_every_half_of_its_time():
    async with Daemon() as daemon:
        before = daemon.manager.count("WATCHDOG=1")
        for _ in range(10):
            await daemon.lives(WATCHDOG_S / 2)
            fed = daemon.manager.count("WATCHDOG=1")
            assert 1 <= fed - before <= 2
            before = fed


@pytest.mark.asyncio
async def test_without_progress_the_watchdog_starves_and_the_status_says_why():
    async with Daemon() as daemon:
        await daemon.lives(60)
        daemon.trouble = "the journal's writer has not answered for 9 s"
        await daemon.lives(1)
        fed = daemon.manager.count("WATCHDOG=1")
        await daemon.lives(10 * WATCHDOG_S)
        assert daemon.manager.count("WATCHDOG=1") == fed
        assert any("NO PROGRESS: the journal's writer" in line for line in daemon.manager.told)
        daemon.trouble = None
        await daemon.lives(2)
        assert daemon.manager.count("WATCHDOG=1") > fed


@pytest.mark.asyncio
async def test_without_a_watchdog_nothing_is_asked_and_nothing_fed():
    asked = []
    async with Daemon(None, lambda _: [lambda: asked.append(1)]) as daemon:
        await daemon.lives(60)
        assert daemon.manager.count("WATCHDOG=1") == 0
    assert asked == []


@pytest.mark.asyncio
async def test_stopping_is_said_when_the_daemon_is_cancelled():
    async with Daemon() as daemon:
        pass
    assert "STOPPING=1" in daemon.manager.told


class Thread:
    """The thread of a store that may hang, or refuse."""

    def __init__(self):
        self.hangs = False
        self.refuses = False
        self.asked = 0

    async def ask(self):
        self.asked += 1
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.refuses:
            raise StorageError("disk full")


@pytest.mark.asyncio
async def test_a_hung_thread_starves_the_watchdog_and_is_asked_only_once():
    thread = Thread()
    vitals = lambda clock: [Answers("the journal", thread.ask, clock, WATCHDOG_S / 3)]  # noqa: E731
    async with Daemon(vitals=vitals) as daemon:
        await daemon.lives(60)
        assert thread.asked > 5
        thread.hangs = True
        await daemon.lives(WATCHDOG_S)
        fed, asked = daemon.manager.count("WATCHDOG=1"), thread.asked
        await daemon.lives(5 * WATCHDOG_S)
        assert daemon.manager.count("WATCHDOG=1") == fed
        assert thread.asked == asked
        daemon.service._vitals[0]._asking.cancel()


@pytest.mark.asyncio
async def test_a_store_that_refuses_is_alive():
    thread = Thread()
    thread.refuses = True
    vitals = lambda clock: [Answers("the journal", thread.ask, clock, WATCHDOG_S / 3)]  # noqa: E731
    async with Daemon(vitals=vitals) as daemon:
        await daemon.lives(5 * WATCHDOG_S)
        assert daemon.manager.count("WATCHDOG=1") >= 9


@pytest.mark.asyncio
async def test_a_pipeline_that_does_not_turn_starves_the_watchdog():
    turned = [NOW_US]

    def vitals(clock):
        watched = Vitals(clock, WATCHDOG_S)
        watched.add_turns(lambda: turned[0])
        return watched

    async with Daemon(vitals=vitals) as daemon:
        for _ in range(40):
            turned[0] = daemon.clock.now().steady_us
            await daemon.lives(1)
        fed = daemon.manager.count("WATCHDOG=1")
        assert fed >= 3
        await daemon.lives(WATCHDOG_S)
        stopped = daemon.manager.count("WATCHDOG=1")
        await daemon.lives(5 * WATCHDOG_S)
        assert daemon.manager.count("WATCHDOG=1") == stopped
        assert any("has not turned for" in line for line in daemon.manager.told)


@pytest.mark.asyncio
async def test_a_supervisor_that_waits_is_alive_and_one_that_was_ended_is_not():
    clock = ManualClock(NOW_US, gate)

    async def broken_wire():
        raise OSError("no such port")

    supervisor = Supervisor("bus", broken_wire, clock)
    vitals = Vitals(clock, WATCHDOG_S)
    vitals.add_supervisors(lambda: [supervisor])
    (vital,) = vitals
    task = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0)
    assert vital() is None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert vital() == "stopped: bus"


@pytest.mark.asyncio
async def test_a_lasting_task_that_ended_is_named():
    async def ends():
        return

    task = asyncio.create_task(ends(), name="journalling")
    vitals = Vitals(ManualClock(NOW_US), WATCHDOG_S)
    vitals.add_tasks([task])
    (vital,) = vitals
    assert vital() is None
    await task
    assert vital() == "ended: journalling"


def test_the_pace_is_counted_between_two_questions():
    clock, counted = ManualClock(NOW_US), [0]
    pace = Pace(clock, lambda: counted[0])
    assert pace() == 0.0
    counted[0] = 30
    clock.advance(10)
    assert pace() == 3.0
    clock.advance(10)
    assert pace() == 0.0


@pytest.fixture
def listening(tmp_path, request):
    """Bind a socket as systemd does, by path or in the abstract name space."""
    name = request.param
    address = str(tmp_path / "notify") if name == "path" else f"@cbrn-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + address[1:] if address[0] == "@" else address)
        manager.settimeout(5)
        yield address, manager


@pytest.mark.parametrize("listening", ["path", "abstract"], indirect=True)
def test_the_socket_of_systemd_hears_it_by_path_and_in_the_abstract_name_space(listening):
    address, manager = listening
    service = ServiceSocket.from_environment(
        {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    )
    assert service.watchdog_s == 30.0
    service.tell("READY=1", "STATUS=Rådhus")
    assert manager.recv(1000).decode() == "READY=1\nSTATUS=Rådhus"


@pytest.mark.parametrize("listening", ["path"], indirect=True)
def test_a_socket_that_is_full_or_gone_holds_nothing_up(listening, caplog):
    address, manager = listening
    service = ServiceSocket.from_environment({"NOTIFY_SOCKET": address})
    for _ in range(10_000):
        service.tell("WATCHDOG=1")
    manager.close()
    service.tell("WATCHDOG=1")
    assert sum("cannot be told" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({"WATCHDOG_USEC": "2000000"}, 2.0),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, None),
    ],
)
def test_the_watchdog_is_ours_only_where_it_is_meant(environment, watchdog_s):
    known = ServiceSocket.from_environment({"NOTIFY_SOCKET": "/run/notify"} | environment)
    assert known.watchdog_s == watchdog_s


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "notify"])
def test_without_a_socket_that_is_understood_nothing_is_sent(address):
    service = ServiceSocket.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
    assert service.watchdog_s is None
    service.tell("READY=1")


def test_a_microsecond_is_a_microsecond():
    assert US_PER_S == 1_000_000
