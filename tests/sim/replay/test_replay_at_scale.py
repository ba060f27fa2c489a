"""A long recording replayed twice, by different processes: the same to the byte."""

import os
import subprocess
import sys
from math import exp
from pathlib import Path

import numpy as np
import pytest

from cbrn_core.reading import Reading
from cbrn_core.times import US_PER_S
from cbrn_core.units import Unit
from cbrn_gateway.recording import encode_reading

START_US = 1_780_000_000_000_000
STATIONS = 20
RELEASE_S, TAU_S, PLUME_PPM = 300, 13.0, 8.0
OUTPUTS = ("alerts.jsonl", "estimates.jsonl", "sources.jsonl", "summary.json")
SITE = """
[gateway]
id = "gw"
city = "varde"
data_dir = "unused"
[site]
id = "torg"
"""
STATION = """
[[station]]
id = "st{i:02}"
position = {{ lat = 60.00{i:02}, lon = 10.0, height_m = 3 }}
[[device]]
id = "d{i:02}"
station = "st{i:02}"
driver = "external"
[[device.channel]]
id = "cl2"
quantity = "cl2"
unit = "ppm"
t90_s = 30
sigma = 0.05
range = [0, 20]
"""


def write_recording(path: Path, rows: int) -> None:
    """Write a recording with a release that four stations see, for five minutes."""
    rng = np.random.default_rng(11)
    with path.open("wb") as file:
        for row in range(rows):
            second, i = divmod(row, STATIONS)
            since_s = second - RELEASE_S
            gas_ppm = 0.0
            if i < 4 and since_s > 0:
                gas_ppm = PLUME_PPM * (1 - exp(-since_s / TAU_S))
                gas_ppm *= exp(-max(0, since_s - 300) / TAU_S)
            at_us = START_US + second * US_PER_S + i * 10_000
            reading = Reading(
                station=f"st{i:02}",
                channel="cl2",
                time_us=at_us,
                received_us=at_us,
                value=gas_ppm + 0.05 * float(rng.standard_normal()),
                unit=Unit.PPM,
            )
            file.write(encode_reading(reading) + b"\n")


def replay(folder: Path, out: str, hash_seed: str) -> dict[str, bytes]:
    command = [Path(sys.executable).with_name("cbrn-gateway"), "replay", "-c", folder / "site.toml"]
    subprocess.run(
        [*command, folder / "recording.jsonl", "--out", folder / out],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return {name: (folder / out / name).read_bytes() for name in OUTPUTS}


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(10_000, id="ten-thousand"),
        pytest.param(10**6, id="a-million", marks=[pytest.mark.night, pytest.mark.timeout(0)]),
    ],
)
def test_two_replays_are_the_same_to_the_byte(tmp_path, rows):
    (tmp_path / "site.toml").write_text(
        SITE + "".join(STATION.format(i=i) for i in range(STATIONS))
    )
    write_recording(tmp_path / "recording.jsonl", rows)
    first, second = replay(tmp_path, "first", "1"), replay(tmp_path, "second", "2")
    assert first == second
    assert first["alerts.jsonl"].count(b'"priority":1') >= 4
    assert first["estimates.jsonl"].count(b"\n") == rows
