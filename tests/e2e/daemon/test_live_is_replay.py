"""What the daemon said of a leak, replay says of its recording: the same, word for word."""

import json
import subprocess
from pathlib import Path

import pytest
from e2e.evidence import alerts, wait_until
from e2e.gateway_process import CBRN_GATEWAY, head, mqtt_table
from e2e.servers import Process, subscriber
from samples.site_samples import instruments

from cbrn_core.times import parse_rfc3339

pytestmark = [pytest.mark.needs_mosquitto, pytest.mark.timeout(240)]

CHAIN = ("epoch", "seq", "prev_hash", "hash", "journal")
"""An alert's place in a journal is the only thing that differs."""


def told(alert: dict) -> dict:
    """Return an alert without its place in the journal."""
    properties = {k: v for k, v in alert["properties"].items() if k not in CHAIN}
    return alert | {"properties": properties}


def of_stations(heard: list[dict], until_us: int) -> list[dict]:
    """Return what was said of stations up to a moment.

    What a gateway sees of itself (not in service, a link) is in no recording.
    """
    return [
        told(alert)
        for alert in heard
        if alert["properties"]["station"] is not None
        and parse_rfc3339(alert["properties"]["changed_at"]) <= until_us
    ]


def is_recording(path: Path) -> bool:
    return path.exists() and path.read_bytes().count(b"\n") >= 1


def test_live_and_replay_tell_the_same_story(broker, new_square, new_daemon, tmp_path):
    square = new_square()
    square.pause()
    folder = tmp_path / "gateway"
    daemon = new_daemon(
        head(folder) + mqtt_table(broker, tmp_path) + instruments(square.endpoints), folder
    )
    recording, out = tmp_path / "leak.jsonl", tmp_path / "replayed"
    capture = [CBRN_GATEWAY, "record", "-c", str(daemon.site_file), "-o", str(recording)]
    recorder = Process("record", capture, tmp_path, lambda: is_recording(recording))
    with subscriber(broker, "cbrn/v1/+/+/log/+") as soc:
        daemon.start()
        recorder.start()
        square.resume()
        try:
            wait_until(lambda: stations_alarmed(alerts(soc, "/log/")) >= 2, "two stations alarm")
        finally:
            ended = recorder.stop()
        assert ended == 0, recorder.tail()
        code, _ = daemon.terminate()
        assert code == 0
        heard = alerts(soc, "/log/")

    replay = [CBRN_GATEWAY, "replay", "-c", str(daemon.site_file), str(recording)]
    subprocess.run([*replay, "--out", str(out)], check=True, capture_output=True)
    summary = json.loads((out / "summary.json").read_text())
    until_us = parse_rfc3339(summary["virtual_until"])
    replayed = [json.loads(line) for line in (out / "alerts.jsonl").read_text().splitlines()]
    live, again = of_stations(heard, until_us), of_stations(replayed, until_us)
    assert any(alert["properties"]["priority"] == 1 for alert in live)
    assert again == live


def stations_alarmed(heard: list[dict]) -> int:
    return len({a["properties"]["station"] for a in heard if a["properties"]["priority"] == 1})
