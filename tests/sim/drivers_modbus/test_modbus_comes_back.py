"""Modbus buses under their supervisor: peers that die, freeze and come back."""

import signal

import pytest
from samples.cycles import cycles
from samples.supervised import LONG_PERIOD_S, readings_are_back, supervised, until

from cbrn_gateway.live.supervisor import Health
from cbrn_gateway.live.system_clock import SystemClock

pytestmark = pytest.mark.asyncio
UNIT = 5
PERIOD_S = 0.1
LINE = {"framing": "rtu", "parity": "N"}


@cycles(10)
async def test_a_tcp_peer_that_is_killed_and_started_again_is_read_again(
    start_peer, detector, times
):
    peer = start_peer("tcp", "0", f"{UNIT}:60")
    peer.make_xcd(UNIT)
    driver = detector(UNIT, host="127.0.0.1", port=peer.port, period_s=PERIOD_S)
    async with supervised(driver, SystemClock()) as bus:
        for _ in range(times):
            await until(lambda: bus.supervisor.health is Health.RUNNING, "a reading")
            peer.kill()
            await until(lambda: bus.supervisor.health is Health.WAITING, "the loss")
            peer = start_peer("tcp", str(peer.port), f"{UNIT}:60")
            peer.make_xcd(UNIT)
            await readings_are_back(bus, PERIOD_S)


@cycles(3)
async def test_at_one_poll_a_second_readings_are_back_within_two_periods_and_the_back_off(
    start_peer, detector, times
):
    peer = start_peer("tcp", "0", f"{UNIT}:60")
    peer.make_xcd(UNIT)
    driver = detector(UNIT, host="127.0.0.1", port=peer.port, period_s=LONG_PERIOD_S)
    async with supervised(driver, SystemClock()) as bus:
        for _ in range(times):
            await until(lambda: bus.supervisor.health is Health.RUNNING, "a reading")
            peer.kill()
            await until(lambda: bus.supervisor.health is Health.WAITING, "the loss")
            peer = start_peer("tcp", str(peer.port), f"{UNIT}:60")
            peer.make_xcd(UNIT)
            await readings_are_back(bus, LONG_PERIOD_S)


@cycles(10)
async def test_a_tcp_peer_that_freezes_and_thaws_is_read_again(start_peer, detector, times):
    peer = start_peer("tcp", "0", f"{UNIT}:60")
    peer.make_xcd(UNIT)
    driver = detector(UNIT, host="127.0.0.1", port=peer.port, period_s=PERIOD_S)
    async with supervised(driver, SystemClock()) as bus:
        for _ in range(times):
            await until(lambda: bus.supervisor.health is Health.RUNNING, "a reading")
            peer.process.send_signal(signal.SIGSTOP)
            await until(lambda: bus.supervisor.health is Health.WAITING, "the loss")
            peer.process.send_signal(signal.SIGCONT)
            await readings_are_back(bus, PERIOD_S)


@cycles(10)
async def test_a_serial_line_that_is_unplugged_and_plugged_in_again_is_read_again(
    start_bus, detector, tmp_path, times
):
    wire, _ = start_bus(range(1, 3))
    link = tmp_path / "rs485"
    link.symlink_to(wire.path)
    driver = detector(1, 2, port=str(link), period_s=PERIOD_S, **LINE)
    async with supervised(driver, SystemClock()) as bus:
        for _ in range(times):
            await until(lambda: bus.supervisor.health is Health.RUNNING, "a reading")
            link.unlink()
            wire.unplug()
            await until(lambda: bus.supervisor.health is Health.WAITING, "the loss")
            wire.plug_in()
            link.symlink_to(wire.path)
            await readings_are_back(bus, PERIOD_S)


@cycles(10)
async def test_serial_peers_that_freeze_and_thaw_are_read_again(start_bus, detector, times):
    wire, peer = start_bus(range(1, 3))
    driver = detector(1, 2, port=wire.path, period_s=PERIOD_S, **LINE)
    async with supervised(driver, SystemClock()) as bus:
        for _ in range(times):
            await until(lambda: bus.supervisor.health is Health.RUNNING, "a reading")
            peer.process.send_signal(signal.SIGSTOP)
            await until(lambda: bus.supervisor.health is Health.WAITING, "the loss")
            peer.process.send_signal(signal.SIGCONT)
            await readings_are_back(bus, PERIOD_S)
