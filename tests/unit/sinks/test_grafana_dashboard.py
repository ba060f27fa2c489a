"""The committed dashboard is the generated one; its lines are those that alarm."""

import json
import re
import runpy
from pathlib import Path

import pytest

from cbrn_core.agents import AGENTS, aegl_10_min
from cbrn_core.quantities import Quantity, canonical_unit
from cbrn_core.units import convert
from cbrn_gateway.alarms.policy import load_policy

ROOT = Path(__file__).parents[3]
GRAFANA = ROOT / "deploy" / "grafana"
MAKER = runpy.run_path(str(GRAFANA / "make_dashboard.py"))
COMMITTED = json.loads((GRAFANA / "dashboards" / "responder.json").read_text())
PANELS = COMMITTED["panels"]


def panel_of(quantity: Quantity) -> dict:
    query = f"\"agent\" = '{quantity.value}'"
    (panel,) = [
        p for p in PANELS if p["type"] == "timeseries" and query in p["targets"][0]["query"]
    ]
    return panel


def lines_of(panel: dict) -> list[float]:
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps[0]["value"] is None
    return [step["value"] for step in steps[1:]]


def test_the_committed_dashboard_is_what_the_script_makes_of_the_policy():
    policy = load_policy()
    made = MAKER["dashboard"](policy, MAKER["quantities_of_gases"](policy))
    assert json.loads(json.dumps(made)) == COMMITTED


@pytest.mark.parametrize("agent_id", [a for a in AGENTS if aegl_10_min(a, 2) is not None])
def test_every_gas_with_an_aegl_2_has_a_panel_with_that_line(agent_id):
    row = aegl_10_min(agent_id, 2)
    assert row is not None
    quantity = Quantity(agent_id)
    mass = AGENTS[agent_id].molar_mass_g_mol
    limit = convert(row.value, row.unit, canonical_unit(quantity), molar_mass_g_mol=mass)
    lines = lines_of(panel_of(quantity))
    assert any(line == pytest.approx(limit, rel=1e-9) for line in lines)
    assert lines == sorted(lines)
    assert panel_of(quantity)["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"] == {
        "mode": "line"
    }


def test_the_gamma_lines_are_those_of_the_policy():
    radiation = load_policy().radiation
    boundaries = {known.boundary_usv_h for known in radiation.jurisdiction.values()}
    expected = {radiation.elevated_usv_h, radiation.hot_usv_h, radiation.turn_back_usv_h}
    assert set(lines_of(panel_of(Quantity.GAMMA_DOSE_RATE))) == expected | boundaries


def test_panels_have_unique_ids_and_do_not_overlap():
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_it_is_a_dashboard_of_grafana_9_that_nobody_changes_by_hand():
    assert COMMITTED["schemaVersion"] >= 36
    assert COMMITTED["editable"] is False
    assert COMMITTED["uid"] == "cbrn-responder"
    assert {panel["type"] for panel in PANELS} == {"text", "table", "timeseries"}


def test_it_says_first_that_it_is_no_certified_device():
    assert PANELS[0]["type"] == "text"
    content = PANELS[0]["options"]["content"]
    assert "Not a certified gas-safety, dosimetry or medical device" in content
    assert not re.search(r"\b(?:safe|all clear|no danger)\b", content.replace("gas-safety", ""))


def test_all_queries_are_influxql_by_the_chosen_database():
    for panel in PANELS[1:]:
        for target in [panel, *panel["targets"]]:
            assert target["datasource"] == {"type": "influxdb", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert target["query"].startswith("SELECT ")
            assert target["rawQuery"] is True
            assert "|>" not in target["query"]


def test_a_live_table_shows_the_age_in_red_when_it_is_old():
    tables = [p for p in PANELS if p["title"].startswith("Live values")]
    assert tables
    for table in tables:
        (age,) = [o for o in table["fieldConfig"]["overrides"] if o["matcher"]["options"] == "age"]
        (steps,) = [p["value"]["steps"] for p in age["properties"] if p["id"] == "thresholds"]
        assert steps[1:] == [{"color": "red", "value": 30_000}]


@pytest.mark.parametrize("site", ["sandholm-torvet", "castelvento-mercato"])
def test_with_a_site_file_it_shows_what_that_square_measures(site, capsys):
    path = ROOT / "config" / "sites" / site / "site.toml"
    assert MAKER["main"]([str(path)]) == 0
    made = json.loads(capsys.readouterr().out)
    titles = [panel["title"] for panel in made["panels"]]
    assert any(title.startswith("chlorine") for title in titles)
    assert len(titles) < len(PANELS)


def test_the_provisioning_names_the_database_and_hides_the_password():
    yaml = pytest.importorskip("yaml")
    render = runpy.run_path(str(ROOT / "deploy" / "render.py"))
    values = render["read_values"]((ROOT / "deploy" / "site.example.env").read_text())
    template = (GRAFANA / "provisioning" / "datasources" / "cbrn.yaml.in").read_text()
    (source,) = yaml.safe_load(render["render"](template, values))["datasources"]
    assert (source["type"], source["database"]) == ("influxdb", "cbrn")
    assert source["jsonData"]["dbName"] == "cbrn"
    assert source["url"].endswith(values["INFLUX_V2_PORT"])
    assert source["secureJsonData"]["password"].startswith("$__file{")
    provider = GRAFANA / "provisioning" / "dashboards" / "cbrn.yaml"
    (known,) = yaml.safe_load(provider.read_text())["providers"]
    assert known["type"] == "file"
