"""Two stations whose readings a test makes itself: chlorine at one, gamma at the other."""

from pathlib import Path

from cbrn_gateway.config.load import parse_site
from cbrn_gateway.config.site_config import SiteConfig

START_US = 1_780_000_000_000_000
_SITE = """
[gateway]
id = "gw"
city = "varde"
data_dir = "unused"
[site]
id = "torg"
[[station]]
id = "st1"
position = {{ lat = 60.0, lon = 10.0, height_m = 3 }}
[[station]]
id = "st2"
position = {{ lat = 60.0003, lon = 10.0, height_m = 3 }}
[[device]]
id = "d1"
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
    """Return the site; `background` is a line of the gamma channel."""
    return parse_site(_SITE.format(t90_s=t90_s, background=background), Path("site.toml"))
