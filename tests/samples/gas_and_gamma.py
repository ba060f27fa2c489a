"""Two stations whose readings a test makes itself: chlorine at one, gamma at the other."""

from pathlib import Path

from cbrn_gateway.config.load import parse_site
from cbrn_gateway.config.site_config import SiteConfig

START_US = 1_780_000_000_000_000
HEAD = """
[gateway]
id = "gw"
city = "varde"
data_dir = "unused"
[site]
id = "torg"
"""
GAS_STATION = """
[[station]]
id = "st1"
position = { lat = 60.0, lon = 10.0, height_m = 3 }
"""
GAMMA_STATION = """
[[station]]
id = "st2"
position = { lat = 60.0003, lon = 10.0, height_m = 3 }
"""


def gas(t90_s: float, device: str = "d1") -> str:
    """Return the chlorine detector of st1."""
    return f"""
[[device]]
id = "{device}"
station = "st1"
driver = "external"
[[device.channel]]
id = "cl2"
quantity = "cl2"
unit = "ppm"
t90_s = {t90_s}
sigma = 0.05
range = [0, 20]
lod = 0.1
period_s = 1
"""


def gamma(background: str = "") -> str:
    """Return the Geiger counter of st2; `background` is a line of its channel."""
    return f"""
[[device]]
id = "d2"
station = "st2"
driver = "external"
[[device.channel]]
id = "gamma"
quantity = "gamma_count_rate"
unit = "cps"
counting = true
usv_h_per_cps = 0.2
period_s = 1
{background}
"""


def square(t90_s: float, background: str = "") -> SiteConfig:
    """Return the site."""
    text = HEAD + GAS_STATION + GAMMA_STATION + gas(t90_s) + gamma(background)
    return parse_site(text, Path("site.toml"))
