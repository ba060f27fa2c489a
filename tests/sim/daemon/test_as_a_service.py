"""The whole daemon under a service manager: ready, alive only while it is, stopping."""

import threading
import time

import pytest
from sim.daemon.daemon_thread import DaemonThread, ServiceManager

WATCHDOG_S = 4.0
SILENT = "disk does not answer"


@pytest.fixture
def manager(tmp_path, monkeypatch):
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", f"{WATCHDOG_S * 1e6:.0f}")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    listening = ServiceManager(address)
    yield listening
    listening.close()


@pytest.mark.timeout(200)
def test_it_says_ready_feeds_the_watchdog_and_says_that_it_stops(manager, tmp_path):
    with DaemonThread(tmp_path):
        manager.wait_for("READY=1")
        manager.wait_for("WATCHDOG=1", times=3)
    manager.wait_for("STOPPING=1")
    lines = [line for _, line in manager.heard]
    assert lines[0] == "READY=1"
    assert lines.count("READY=1") == lines.count("STOPPING=1") == 1
    assert "STATUS=0 open alarms; 0.0 readings/s; no sinks" in lines


@pytest.mark.timeout(200)
def test_a_journal_whose_disk_hangs_is_told_and_does_not_end_the_daemon(manager, tmp_path):
    released = threading.Event()
    with DaemonThread(tmp_path) as running:
        manager.wait_for("WATCHDOG=1")
        running.daemon._journal._committer.submit(lambda: released.wait(120))
        try:
            manager.wait_for("STATUS=the journal's writer has not answered")
            manager.wait_for("WATCHDOG=1", times=2)
            running.wait_until(lambda: running.told(SILENT), "the technical alarm")
        finally:
            released.set()
        running.wait_until(lambda: running.told(SILENT)[-1]["state"] == "rtn_unack", "its end")


@pytest.mark.timeout(200)
def test_a_store_whose_disk_hangs_is_told_and_does_not_end_the_daemon(manager, tmp_path):
    released = threading.Event()
    with DaemonThread(tmp_path) as running:
        manager.wait_for("WATCHDOG=1")
        with running.daemon._writer._wake:
            running.daemon._writer._series_lane.ask(lambda: released.wait(120) and None)
            running.daemon._writer._wake.notify()
        try:
            manager.wait_for("STATUS=the store's writer has not answered")
            manager.wait_for("WATCHDOG=1", times=2)
            running.wait_until(lambda: running.told(SILENT), "the technical alarm")
        finally:
            released.set()
        running.wait_until(lambda: running.told(SILENT)[-1]["state"] == "rtn_unack", "its end")


@pytest.mark.timeout(200)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_store_writer_that_died_lets_the_watchdog_expire(manager, tmp_path):
    with DaemonThread(tmp_path) as running:
        manager.wait_for("WATCHDOG=1")
        with running.daemon._writer._wake:
            running.daemon._writer._series_lane.ask(dies)
            running.daemon._writer._wake.notify()
        manager.wait_for_silence("WATCHDOG=1", WATCHDOG_S)
        assert any("the store's writer has died" in line for _, line in manager.heard)


def dies():
    raise RuntimeError("a defect")


@pytest.mark.timeout(200)
def test_a_blocked_loop_lets_the_watchdog_expire_and_is_told_when_it_goes_on(manager, tmp_path):
    with DaemonThread(tmp_path) as running:
        manager.wait_for("WATCHDOG=1")
        running.loop.call_soon_threadsafe(time.sleep, 3 * WATCHDOG_S)
        manager.wait_for_silence("WATCHDOG=1", WATCHDOG_S)
        manager.wait_for("WATCHDOG=1", times=2)
        running.wait_until(lambda: running.told("gateway held up"), "the alarm")
        lag_ms = running.daemon.health()["loop_lag_max_ms"]
    assert lag_ms >= 3 * WATCHDOG_S * 1000 - 100


@pytest.mark.timeout(200)
def test_a_task_that_was_ended_lets_the_watchdog_expire(manager, tmp_path):
    with DaemonThread(tmp_path) as running:
        manager.wait_for("WATCHDOG=1")
        running.loop.call_soon_threadsafe(cancel_task_named, running.loop, "journalling")
        manager.wait_for_silence("WATCHDOG=1", WATCHDOG_S)
        assert any("NO PROGRESS: ended: journalling" in line for _, line in manager.heard)


def cancel_task_named(loop, name):
    import asyncio

    (task,) = [task for task in asyncio.all_tasks(loop) if task.get_name() == name]
    task.cancel()


@pytest.mark.timeout(200)
def test_a_loop_blocked_for_300_ms_is_a_technical_alarm_with_its_lag(tmp_path):
    with DaemonThread(tmp_path) as running:
        running.wait_until(lambda: running.daemon._turned_us, "the first turn")
        running.loop.call_soon_threadsafe(time.sleep, 0.3)
        running.wait_until(lambda: running.told("gateway held up"), "the alarm")
    (told,) = [p for p in running.told("gateway held up") if p["version"] == 1]
    assert (told["kind"], told["priority"], told["hazard"]) == ("technical", 3, "technical")
    assert " ms)" in told["text"]
    assert told["read_aloud"]
