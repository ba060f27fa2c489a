"""A square of serial instruments at one reading a second each: site file, frames, ports.

Three of four are electrochemical modules in clean air (noise of a third of the step of
the display, so that nine of ten readings are the same), one of four a Geiger counter.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cbrn_core.times import US_PER_S
from cbrn_drivers.codec.checksum import negated_sum8, xor8
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.config.site_config import SiteConfig

START_US = 1_780_000_000_000_000
GASES = ("cl2", "nh3", "h2s")
_NOISE_STEPS = 0.3
_BACKGROUND_CPM = 35


def is_counter(index: int) -> bool:
    return index % 4 == 3


def site_text(instruments: int, folder: Path, port: Callable[[int], str], extra: str = "") -> str:
    """Return the site file; instrument `i` is alone on the port named by `port(i)`."""
    gateway = f'[gateway]\nid = "gw-01"\ncity = "bench"\ndata_dir = "{folder}"\n'
    parts = [gateway, f'[site]\nid = "square"\nin_service = true\n{extra}']
    for i in range(instruments):
        driver = f'driver = "chemical.winsen_ze03"\ngas = "{GASES[i % 4 % 3]}"\nwarm_up_s = 0\n'
        if is_counter(i):
            driver = 'driver = "radiation.safecast_bgeigie"\n'
        lat, lon = 59.91 + i // 50 * 1e-4, 10.73 + i % 50 * 1e-4
        parts.append(
            f'[[station]]\nid = "st{i:04}"\n'
            f"position = {{ lat = {lat:.5f}, lon = {lon:.5f}, height_m = 3 }}\n"
            f'[[device]]\nid = "dev{i:04}"\nstation = "st{i:04}"\nport = "{port(i)}"\n{driver}'
        )
    return "".join(parts)


def site_config(instruments: int, folder: Path, extra: str = "") -> SiteConfig:
    text = site_text(instruments, folder, lambda i: f"bench-{i}", extra)
    return parse_site(text, folder / "site.toml")


def frames(instruments: int, start_us: int = START_US) -> Iterator[tuple[int, int, bytes]]:
    """Yield (time µs, instrument, frame), evenly spread over each second, for ever."""
    rng = np.random.default_rng(7)
    second = 0
    while True:
        steps = np.rint(np.abs(_NOISE_STEPS * rng.standard_normal(instruments))).astype(int)
        counts = rng.poisson(_BACKGROUND_CPM / 12, instruments)
        for i in range(instruments):
            time_us = start_us + second * US_PER_S + (i * US_PER_S) // instruments
            made = geiger_line(time_us, int(counts[i])) if is_counter(i) else gas_frame(steps[i])
            yield time_us, i, made
        second += 1


def gas_frame(steps: int) -> bytes:
    body = bytes((0x86, int(steps) >> 8, int(steps) & 0xFF, 0, 0, 0, 0))
    return b"\xff" + body + bytes((negated_sum8(body),))


def geiger_line(time_us: int, counts_5s: int) -> bytes:
    stamp = datetime.fromtimestamp(time_us // US_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    place = "5954.6000,N,1043.8000,E,5.00,A,8,109"
    body = f"BNRDD,2023,{stamp},{_BACKGROUND_CPM},{counts_5s},138,A,{place}"
    return f"${body}*{xor8(body.encode()):02X}\r\n".encode()
