"""A pipeline that hears what the gateway notices of itself, on a clock turned by hand."""

from pathlib import Path

from cbrn_core.clock import ManualClock
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.live.notices import Notices
from cbrn_gateway.pipeline.pipeline import Pipeline

NOW_US = 1_780_000_000_000_000
CONFIG = parse_site(
    """
[gateway]
id = "gw"
city = "varde"
data_dir = "unused"
[site]
id = "torg"
in_service = true
[[station]]
id = "st1"
position = { lat = 60.0, lon = 10.0, height_m = 3 }
""",
    Path("site.toml"),
)


class Gateway:
    """A pipeline that hears what the gateway notices of itself."""

    def __init__(self):
        self.clock = ManualClock(NOW_US)
        self.pipeline = Pipeline(CONFIG.model, CONFIG.policy)
        self.pipeline.start(NOW_US)
        self.noticed = []
        self.notices = Notices(CONFIG.model, CONFIG.policy, self.clock, self.noticed.append)

    def alarms_after(self, seconds):
        self.clock.advance(seconds)
        events, self.noticed[:] = list(self.noticed), []
        return self.pipeline.step(self.clock.now().steady_us, events).alarms
