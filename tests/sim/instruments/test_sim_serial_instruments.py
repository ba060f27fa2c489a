"""Serial instruments on real pseudo-terminals answer their documents byte for byte."""

import os
from datetime import UTC, datetime

import pytest

from cbrn_sim.instruments.bgeigie import BgeigieNano, LogPlayer, Whereabouts
from cbrn_sim.instruments.gmc import Gmc
from cbrn_sim.instruments.gmc_memory import Dialect
from cbrn_sim.instruments.windsonic import WindSonic
from cbrn_sim.instruments.ze03 import Mode, Ze03
from cbrn_sim.world.wind import Wind

pytestmark = pytest.mark.asyncio

WIND_LINE = b"\x02Q,229,002.74,M,00,\x0316\r\n"


def windsonic(faults):
    return WindSonic(lambda _t_s: Wind(2.74, 229.0), faults, rate_hz=4.0)


@pytest.fixture
def make_gmc(fixed_tube, starts_at):
    def maker(dialect=Dialect.RFC1201, cps=0, cpm=23, **options):
        tube = fixed_tube(cps, cpm)
        return lambda faults: Gmc(dialect, tube, starts_at, faults, **options)

    return maker


async def test_the_300s_on_its_line(running, open_line, make_gmc):
    instrument, _ = await running(make_gmc(cps=28))
    line = open_line(instrument.wire.link)
    assert await line.ask(b"<GETVER>>", 15) == b"GMC-300SRe 1.14"
    assert (await line.ask(b"<GETCPM>>", 2)).hex() == "0017"
    assert (await line.ask(b"<GETVOLT>>", 1)).hex() == "2a"
    assert (await line.ask(b"<GETGYRO>>", 7)).hex() == "c0c0fec00680aa"
    assert (await line.ask(b"<GETDATETIME>>", 7)).hex() == "170b0a0c0f05aa"
    assert (await line.ask(b"<GETSERIAL>>", 7)).hex() == "f7f4c578139d08"
    assert len(await line.ask(b"<GETCFG>>", 256)) == 256
    set_clock = bytes.fromhex("3c5345544441544554494d451801081136393e3e")
    assert (await line.ask(set_clock, 1)).hex() == "aa"
    assert (await line.ask(b"<HEARTBEAT1>>", 4)).hex() == "001c001c"


async def test_the_500_plus_on_its_line(running, open_line, make_gmc):
    instrument, _ = await running(make_gmc(Dialect.RFC1801, cps=28, cpm=1210, battery_v=4.0))
    line = open_line(instrument.wire.link)
    assert await line.ask(b"<GETVER>>", 15) == b"GMC-500+Re 2.22"
    assert (await line.ask(b"<GETCPM>>", 4)).hex() == "000004ba"
    assert await line.ask(b"<GETVOLT>>", 5) == b"4.0v\0"
    assert len(await line.ask(b"<GETCFG>>", 512)) == 512
    assert (await line.ask(b"<HEARTBEAT1>>", 8)).hex() == "0000001c0000001c"


async def test_a_bgeigie_writes_the_captured_line(running, open_line, fixed_tube):
    place = Whereabouts(50 + 3.1563 / 60, 14 + 30.9260 / 60, 242.8)
    when = datetime(2022, 3, 20, 15, 30, 42, tzinfo=UTC)
    instrument, _ = await running(
        lambda faults: BgeigieNano(
            2408,
            fixed_tube(4, 34),
            lambda _t_s: place,
            lambda _t_s: when,
            faults,
            satellites=4,
            hdop=2.1,
        )
    )
    line = open_line(instrument.wire.link)
    captured = (
        b"$BNRDD,2408,2022-03-20T15:30:42Z,34,4,42,A,5003.1563,N,01430.9260,E,242.80,A,4,210*4B\r\n"
    )
    assert [await line.read_line() for _ in range(2)] == [captured, captured]


async def test_a_log_is_played_to_its_end(running, open_line, tmp_path, eventually):
    lines = [b"$BNRDD,%d*00\r\n" % number for number in range(40)]
    log = tmp_path / "drive.LOG"
    log.write_bytes(b"# NEW LOG\r\n" + b"".join(lines))
    player = LogPlayer(log, period_s=0.2)
    instrument, _ = await running(lambda _faults: player)
    line = open_line(instrument.wire.link)
    sent = [b"# NEW LOG\r\n", *lines]
    assert [await line.read_line() for _ in sent] == sent
    await eventually(lambda: player.is_over)


async def test_the_ze03_uploads_and_answers(running, open_line):
    instrument, _ = await running(lambda faults: Ze03("nh3", lambda _t_s: 5.0, faults))
    line = open_line(instrument.wire.link)
    assert (await line.read(18)).hex() == "ff8600050000000075" * 2
    line.write(bytes.fromhex("ff0178040000000083"))
    while (frame := await line.read(9)).hex() == "ff8600050000000075":
        pass
    assert frame.hex() == "ff7801000000000087"
    assert (await line.ask(bytes.fromhex("ff0186000000000079"), 9)).hex() == "ff8600050000000075"
    assert line.unread == b""


async def test_the_windsonic_writes_its_lines(running, open_line):
    instrument, _ = await running(windsonic)
    line = open_line(instrument.wire.link)
    assert await line.read_line() == WIND_LINE
    assert await line.read_line() == WIND_LINE


async def test_what_is_said_to_a_closed_line_is_lost(running, open_line, make_gmc, eventually):
    instrument, _ = await running(make_gmc(cps=28))
    first = open_line(instrument.wire.link)
    assert len(await first.ask(b"<HEARTBEAT1>>", 2)) == 2
    first.write(b"<GETCFG>>")
    first.close()
    await eventually(lambda: instrument.wire.lost_bytes >= 20)
    second = open_line(instrument.wire.link)
    # Nothing but heartbeats from now on: no old reply waits in the line.
    assert set(await second.read(4)) == {0x00, 0x1C}


async def test_unplugging_hangs_up_and_replugging_is_another_device_file(running, open_line):
    instrument, faults = await running(windsonic)
    link = instrument.wire.link
    line = open_line(link)
    await line.read_line()
    # Somebody else keeps the first device file, so its name cannot be used again.
    first_target = link.readlink()
    keeper = os.open(first_target, os.O_RDWR | os.O_NOCTTY)
    try:
        await faults.unplug()
        await line.hang_up()
        assert not link.is_symlink()
        assert not instrument.wire.is_plugged
        await faults.unplug()
        await faults.replug()
        assert link.readlink() != first_target
    finally:
        os.close(keeper)
    again = open_line(link)
    assert await again.read_line() == WIND_LINE


async def test_silence_and_its_end(running, open_line, make_gmc):
    instrument, faults = await running(make_gmc())
    line = open_line(instrument.wire.link)
    faults.silence()
    line.write(b"<GETVER>>")
    other, _ = await running(make_gmc(), "other")
    # The neighbour's answer to a later question shows that time enough has passed.
    assert len(await open_line(other.wire.link).ask(b"<GETVER>>", 15)) == 15
    assert line.unread == b""
    faults.silence(on=False)
    assert (await line.ask(b"<GETCPM>>", 2)).hex() == "0017"


async def test_a_frozen_line_answers_late(running, open_line, make_gmc):
    instrument, faults = await running(make_gmc())
    line = open_line(instrument.wire.link)
    assert (await line.ask(b"<GETCPM>>", 2)).hex() == "0017"
    faults.freeze()
    line.write(b"<GETVER>>")
    other, _ = await running(make_gmc(), "other")
    assert len(await open_line(other.wire.link).ask(b"<GETVER>>", 15)) == 15
    assert line.unread == b""
    faults.freeze(on=False)
    assert await line.read(15) == b"GMC-300SRe 1.14"


async def test_garbling_damages_some_lines_and_spares_others(running, open_line):
    instrument, faults = await running(windsonic)
    line = open_line(instrument.wire.link)
    await line.read_line()
    faults.garble(0.03)
    lines = [await line.read_line() for _ in range(40)]
    assert any(each == WIND_LINE for each in lines)
    assert any(each != WIND_LINE for each in lines)


async def test_value_faults_show_on_the_wire(running, open_line):
    ppm = [5.0]
    instrument, faults = await running(
        lambda faults: Ze03("nh3", lambda _t_s: ppm[0], faults, mode=Mode.ON_REQUEST)
    )
    line = open_line(instrument.wire.link)

    async def shown():
        frame = await line.ask(bytes.fromhex("ff0186000000000079"), 9)
        return frame[2] * 256 + frame[3]

    faults.spike(20.0)
    assert [await shown(), await shown()] == [25, 5]
    faults.step(10.0)
    assert [await shown(), await shown()] == [15, 15]
    faults.stuck()
    await shown()
    ppm[0] = 50.0
    assert await shown() == 15
    faults.warm_up()
    assert await shown() == 0
    faults.clear()
    assert await shown() == 50
