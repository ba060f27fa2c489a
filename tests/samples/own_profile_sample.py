"""A generic Modbus instrument as a site would describe it: five holding registers."""

from pathlib import Path

NAME = "weather-mast"
OWN_PROFILE = """
name = "weather-mast"
title = "Weather mast of the harbour office"
driver = "chemical.modbus_detector"

[document]
title = "Register list by the installer"
revision = "2026-03"

[[channel]]
id = "pressure"
quantity = "pressure"
unit = "hPa"
period_s = 1.0

[[channel]]
id = "rain"
quantity = "rain_rate"
unit = "mm/h"

[[channel]]
id = "ozone"
quantity = "o3"
unit = "ppb"
technology = "electrochemical"
range = [0.0, 500.0]

[modbus]
address_base = 0

[modbus.fields]
pressure = { register = 0, type = "u32" }
rain = { register = 2, scale = 0.1 }
ozone = { register = 3 }

[[modbus.measurement]]
field = "pressure"
channels = ["pressure"]
unit = "hPa"

[[modbus.measurement]]
field = "rain"
channels = ["rain"]
unit = "mm/h"

[[modbus.measurement]]
field = "ozone"
channels = ["ozone"]
unit = "ppb"
"""


def write_profile(site_folder: Path, text: str = OWN_PROFILE, name: str = NAME) -> Path:
    """Write a profile where a site keeps its own; return its path."""
    folder = site_folder / "profiles"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path
