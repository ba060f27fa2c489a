"""What pymodbus and the serial port do when they fail: typed errors, and silence in the log."""

import asyncio
import logging
import os
import tty

import pytest

from cbrn_core.clock import ManualClock
from cbrn_core.errors import ConnectFailed, Disconnected, FrameError, ReadTimeout
from cbrn_drivers.codec.modbus import ReadRequest
from cbrn_drivers.transport.modbus import Framing, Line, ModbusLink
from cbrn_sim.instruments.modbus_frames import rtu_frame

pytestmark = pytest.mark.asyncio
ASKED = ReadRequest(5, 3, 2, 1)


class Terminal:
    """A pseudo-terminal of the test's own; `say` puts bytes on the line."""

    def __init__(self):
        self.near, self.far = os.openpty()
        tty.setraw(self.far)
        self.path = os.ttyname(self.far)

    def say(self, octets):
        os.write(self.near, octets)

    def unplug(self):
        if self.near >= 0:
            os.close(self.near)
            os.close(self.far)
        self.near = -1


@pytest.fixture
def terminal():
    made = Terminal()
    yield made
    made.unplug()


@pytest.fixture
def uncaught():
    """Return what ended in the event loop, which would print a traceback."""
    return []


class SleeplessClock(ManualClock):
    """A clock whose waits end at once."""

    async def sleep(self, seconds):
        self.advance(seconds)
        await asyncio.sleep(0)


def link_to(port, **line):
    line = {"host": None, "framing": Framing.RTU, "parity": "N", "timeout_s": 0.1} | line
    return ModbusLink(Line(port=port, **line), SleeplessClock())


def collect(uncaught):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: uncaught.append(context))


def refuses_parity(terminal):
    """Return whether this kernel knows no parity on a pseudo-terminal (Linux)."""
    import termios

    settings = termios.tcgetattr(terminal.far)
    settings[2] |= termios.PARENB
    try:
        termios.tcsetattr(terminal.far, termios.TCSANOW, settings)
    except termios.error:
        return True
    return False


@pytest.mark.parametrize("parity", ["E", "O"])
async def test_settings_that_a_port_cannot_do_are_a_failed_connection(terminal, parity):
    if not refuses_parity(terminal):
        pytest.skip("this kernel's pseudo-terminals take a parity")
    with pytest.raises(ConnectFailed, match=r"refuses these settings"):
        await link_to(terminal.path, parity=parity).open()


@pytest.mark.parametrize(
    ("port", "reason"),
    [
        ("/no/such/port", "No such file"),
        ("/dev/null", "Could not configure"),
        ("/etc", "Is a directory"),
    ],
)
async def test_why_a_port_cannot_be_opened_is_told(port, reason):
    with pytest.raises(ConnectFailed, match=reason) as refused:
        await link_to(port).open()
    assert str(refused.value).startswith(port)


async def test_a_refused_connection_says_that_it_was_refused():
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    with pytest.raises(ConnectFailed, match=rf"127\.0\.0\.1:{port}: .*(?i:refused|connect)"):
        await link_to(port, host="127.0.0.1", framing=Framing.TCP).open()


@pytest.mark.parametrize("turns", range(8))
async def test_opening_can_be_cancelled_at_any_moment(terminal, uncaught, turns):
    collect(uncaught)
    link = link_to(terminal.path)
    opening = asyncio.create_task(link.open())
    for _ in range(turns):
        await asyncio.sleep(0)
    was_done = opening.done()
    opening.cancel()
    ended = (await asyncio.gather(opening, return_exceptions=True))[0]
    await link.close()
    for _ in range(4):
        await asyncio.sleep(0)
    assert was_done or isinstance(ended, asyncio.CancelledError)
    assert uncaught == []


async def test_a_cancellation_is_heeded_though_the_answer_comes_with_it(terminal):
    link = link_to(terminal.path, timeout_s=10.0)
    cancelled_while_hearing = asyncio.Event()

    def hear(sending, octets):
        if sending:
            terminal.say(rtu_frame(5, bytes.fromhex("03 02 00 07")))
        else:
            reading.cancel()
            cancelled_while_hearing.set()
        return octets

    link._on_packet = hear
    await link.open()
    reading = asyncio.create_task(link.read(ASKED))
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert cancelled_while_hearing.is_set()
    await link.close()


async def test_a_line_that_hangs_up_is_a_lost_connection(terminal, uncaught):
    collect(uncaught)
    link = link_to(terminal.path, timeout_s=10.0)
    await link.open()
    asyncio.get_running_loop().call_later(0.02, terminal.unplug)
    with pytest.raises(Disconnected):
        await link.read(ASKED)
    with pytest.raises(Disconnected):
        await link.read(ASKED)
    await link.close()
    assert uncaught == []


async def test_nothing_that_a_line_says_writes_to_the_log(terminal, uncaught, caplog):
    collect(uncaught)
    caplog.set_level(logging.DEBUG)
    link = link_to(terminal.path)
    await link.open()
    foreign = rtu_frame(6, bytes.fromhex("03 02 00 07"))
    refusal = rtu_frame(5, bytes.fromhex("83 02"))
    for octets in (b"\xff" * 300, bytes.fromhex("05 03 02 00"), refusal, foreign, b"\0"):
        asyncio.get_running_loop().call_later(0.01, terminal.say, octets)
        with pytest.raises((ReadTimeout, FrameError, Disconnected)):
            await link.read(ASKED)
    await link.close()
    with pytest.raises(ConnectFailed):
        await link_to("/no/such/port").open()
    assert [record for record in caplog.records if record.name != "asyncio"] == []
    assert uncaught == []
