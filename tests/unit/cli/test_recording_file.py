"""The file of a capture is whole, or says where it is not; and the lock of a data_dir."""

import os
import threading

import pytest

from cbrn_core.errors import StorageError
from cbrn_gateway.live.data_dir_lock import LOCK_NAME, DataDirLock
from cbrn_gateway.recording import RecordingReader, encode_gap, encode_header
from cbrn_gateway.recording_file import RecordingFile

READING = (
    b'{"time":"2026-06-01T06:15:03Z","station":"st1","channel":"cl2","value":1.5,"unit":"ppm"}'
)


def test_lines_are_written_in_order_and_only_their_owner_may_read_them(tmp_path):
    path = tmp_path / "day.jsonl"
    file = RecordingFile(path)
    for number in range(1000):
        file.put(b"%d" % number)
    file.close()
    assert path.read_bytes().splitlines() == [b"%d" % number for number in range(1000)]
    assert path.stat().st_mode & 0o077 == 0
    assert file.lost == 0


def test_a_disk_that_is_too_slow_costs_lines_and_the_file_says_so(tmp_path):
    path = tmp_path / "slow"
    os.mkfifo(path)
    opened = []
    reader = threading.Thread(target=lambda: opened.append(path.open("rb")))
    reader.start()
    file = RecordingFile(path, most_bytes=100_000)
    reader.join(30)
    line = b"x" * 1_000
    given = 0
    while not file.lost:  # the reader reads nothing: pipe and queue fill up
        file.put(line)
        given += 1
        assert given < 100_000
    lost = file.lost
    kept = []
    drain = threading.Thread(target=lambda: kept.extend(opened[0].read().splitlines()))
    drain.start()
    file.close()
    drain.join(30)
    opened[0].close()
    assert kept == [line] * (given - lost) + [encode_gap(lost)]


def test_a_full_disk_is_an_error_at_the_end_never_before(tmp_path):
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        raise AssertionError("this system has no /dev/full")
    (tmp_path / "full").symlink_to("/dev/full")
    file = RecordingFile(tmp_path / "full")
    file.put(b"x")
    with pytest.raises(StorageError, match="the recording is not whole"):
        file.close()


def test_a_file_that_cannot_be_made_is_said(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        RecordingFile(tmp_path / "nowhere" / "x")
    (tmp_path / "full").write_text("evidence")
    with pytest.raises(StorageError, match="holds something already"):
        RecordingFile(tmp_path / "full")


def test_a_gap_is_counted_by_name_and_the_readings_around_it_are_kept(tmp_path):
    path = tmp_path / "day.jsonl"
    header = encode_header(1_780_000_000_000_000, "gw", "f" * 64)
    path.write_bytes(b"\n".join([header, READING, encode_gap(17), READING, b"junk"]))
    reader = RecordingReader(path)
    assert len(list(reader.readings())) == 2
    assert reader.rejected == {"lost_while_recording": 17, "bad_line": 1}
    assert reader.started_us == 1_780_000_000_000_000


@pytest.mark.parametrize("line", [b'{"schema":"cbrn-recording-gap/1","lost":0}', b"[]", b""])
def test_what_is_no_gap_is_a_bad_line(tmp_path, line):
    path = tmp_path / "day.jsonl"
    path.write_bytes(line + b"\n" + READING)
    reader = RecordingReader(path)
    assert len(list(reader.readings())) == 1
    assert reader.rejected == ({"bad_line": 1} if line else {})


def test_a_data_dir_has_one_owner_at_a_time_who_is_named(tmp_path):
    folder = tmp_path / "new" / "kept"
    with DataDirLock(folder, "run"):
        with (
            pytest.raises(StorageError, match=rf"\(run, process {os.getpid()}\)"),
            DataDirLock(folder, "record"),
        ):
            raise AssertionError("two owners")
        assert (folder / LOCK_NAME).exists()
    with DataDirLock(folder, "record"):
        assert (folder / LOCK_NAME).read_text().startswith("record")
