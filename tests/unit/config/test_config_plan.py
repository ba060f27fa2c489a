"""The plan from one site file to the next, and which files a running daemon cannot change to."""

from pathlib import Path

import pytest

from cbrn_core.errors import ConfigError
from cbrn_gateway.config.admission import UNSIGNED, admitted, candidate
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.config.plan import Did, plan

SITE = Path("site.toml")
HEAD = """
[gateway]
id = "gw"
city = "varde"
data_dir = "kept"
[site]
id = "torg"
[[zone]]
id = "north"
polygon = [[10.0, 60.0], [10.1, 60.0], [10.1, 60.1]]
[[station]]
id = "st1"
position = { lat = 60.0, lon = 10.0 }
"""
WIND = """
[[device]]
id = "wind"
station = "st1"
driver = "weather.gill_windsonic"
port = "/dev/serial/by-id/wind"
"""
GAS = """
[[device]]
id = "gas"
station = "st1"
driver = "external"
[[device.channel]]
id = "cl2"
quantity = "cl2"
unit = "ppm"
sigma = 0.05
"""
CURRENT = admitted(parse_site(HEAD + WIND + GAS, SITE))


def to(text: str):
    return plan(CURRENT, candidate(text, CURRENT))


def changes(planned) -> list[tuple]:
    return [(c.path, c.did, c.before, c.after) for c in planned.changes]


def test_a_file_that_means_the_same_changes_nothing():
    planned = to("# a comment\n" + HEAD + WIND + GAS)
    assert planned.is_empty
    assert list(planned.lines()) == ["nothing changes"]


def test_another_port_has_only_that_bus_start_anew_and_keeps_every_filter():
    planned = to(HEAD + WIND.replace("by-id/wind", "by-id/other") + GAS)
    assert changes(planned) == [
        (
            "device.wind.port",
            Did.CHANGED,
            '"/dev/serial/by-id/wind"',
            '"/dev/serial/by-id/other"',
        )
    ]
    assert [(w.name.rpartition(":")[2], w.did) for w in planned.wires] == [
        ("/dev/serial/by-id/wind", Did.REMOVED),
        ("/dev/serial/by-id/other", Did.ADDED),
    ]
    assert (planned.filters_anew, planned.rules_anew, planned.kept) == ((), (), 3)


def test_a_new_limit_touches_no_bus_and_judges_that_agent_anew():
    planned = to(HEAD + WIND + GAS + "[alarms.overrides.cl2]\nlevel = 1.0\n")
    assert ("alarms.overrides.cl2.level", Did.CHANGED, "not set", "1.0") in changes(planned)
    assert planned.wires == ()
    assert (planned.filters_anew, planned.rules_anew) == ((), ("st1/cl2",))
    assert planned.kept == 2


def test_another_noise_starts_the_filter_anew_but_no_wire():
    wind = WIND + '[[device.channel]]\nid = "wind_speed"\nsigma = 0.2\n'
    planned = to(HEAD + wind + GAS.replace("sigma = 0.05", "sigma = 0.5"))
    assert planned.wires == ()
    assert planned.filters_anew == ("st1/cl2",)


def test_what_comes_and_goes_is_told_by_its_path():
    planned = to(HEAD.replace("north", "south") + GAS)
    told = {(path, did) for path, did, _, _ in changes(planned)}
    assert told == {
        ("zone.north", Did.REMOVED),
        ("zone.south", Did.ADDED),
        ("device.wind", Did.REMOVED),
        ("channel.st1/wind_speed", Did.REMOVED),
        ("channel.st1/wind_direction", Did.REMOVED),
    }
    assert any(line.startswith("  - device.wind: ") for line in planned.lines())


def test_a_renamed_device_keeps_what_its_channel_knows():
    planned = to(HEAD + WIND + GAS.replace('id = "gas"', 'id = "cell"'))
    assert (planned.filters_anew, planned.rules_anew) == ((), ())
    assert ("channel.st1/cl2.device", Did.CHANGED, '"gas"', '"cell"') in changes(planned)


def test_sinks_start_and_end_by_themselves_and_the_store_waits():
    planned = to(
        HEAD + WIND + GAS + '[mqtt]\nurl = "mqtt://broker"\n[store]\nspool_most_mb = 100\n'
    )
    assert [(sink.name, sink.did) for sink in planned.sinks] == [("sink mqtt", Did.ADDED)]
    assert planned.at_next_start == ("store.spool_most_mb",)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('id = "gw"', 'id = "other"', "gateway.id"),
        ('city = "varde"', 'city = "oslo"', "gateway.city"),
        ('data_dir = "kept"', 'data_dir = "moved"', "gateway.data_dir"),
        ('id = "torg"', 'id = "park"', "site.id"),
    ],
)
def test_who_and_where_the_gateway_is_cannot_change_while_it_runs(old, new, path):
    with pytest.raises(ConfigError) as refused:
        candidate((HEAD + WIND + GAS).replace(old, new), CURRENT)
    (problem,) = refused.value.problems
    assert problem.path == path
    assert "cannot change while the daemon runs" in problem.reason


def test_a_wire_used_twice_is_refused_before_anything_is_opened():
    twice = WIND + WIND.replace('id = "wind"', 'id = "again"').replace("st1", "st1")
    with pytest.raises(ConfigError):
        candidate(HEAD + twice + GAS, CURRENT)


def test_a_limit_nobody_signed_keeps_the_new_site_out_of_service():
    text = (HEAD + WIND + GAS).replace('id = "torg"', 'id = "torg"\nin_service = true')
    assert candidate(text, CURRENT).model.site.in_service is True
    unsigned = candidate(text.replace('"cl2"', '"nh3"'), CURRENT)
    assert unsigned.model.site.in_service is False
    assert unsigned.model.site.not_in_service_reason == UNSIGNED
