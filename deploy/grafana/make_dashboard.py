#!/usr/bin/env python3
"""Write the responder's dashboard: its limit lines are those by which the gateway alarms.

    venv/bin/python deploy/grafana/make_dashboard.py             > dashboards/responder.json
    venv/bin/python deploy/grafana/make_dashboard.py SITE.toml   > dashboards/responder.json

Without a site file: every gas that has a level, by the built-in policy. With one: what that
square measures, by its own policy. InfluxQL only.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from cbrn_core.agents import AGENTS
from cbrn_core.quantities import Hazard, Quantity, canonical_unit, hazard_of, series_of
from cbrn_core.units import Unit
from cbrn_gateway.alarms.policy import Policy, load_policy
from cbrn_gateway.alarms.rules.chemical_levels import chemical_levels
from cbrn_gateway.config.load import load_site

Json = dict[str, Any]

STALE_AFTER_MS = 30_000
"""A live value may be shown as live for so long (the expiry of live values on MQTT)."""
WIDTH = 24
NOTE = (
    "**Not a certified gas-safety, dosimetry or medical device; it does not replace them.** "
    "Alarms are decided in the gateway; this screen only shows them. "
    "A red age means: this value is old, the last known state may be wrong. "
    "An empty panel means that nothing was measured here, not that nothing is there."
)
_SOURCE = {"type": "influxdb", "uid": "${datasource}"}
_PLACE = '"site" =~ /^$site$/ AND "station" =~ /^$station$/'
_NOW = "${__to}ms"
_UNITS = {Unit.PPM: "ppm", Unit.USV_H: "suffix: µSv/h", Unit.MG_M3: "suffix: mg/m³"}
_COLOURS = ("yellow", "orange", "red", "dark-red", "purple")
_GAMMA = (Quantity.GAMMA_DOSE_RATE, Quantity.GAMMA_COUNT_RATE)
_ALWAYS = frozenset({*_GAMMA, Quantity.WIND_SPEED, Quantity.WIND_DIRECTION})
_ALARM_FIELDS = ("state", "priority", "kind", "level", "certainty", "value", "version")
_ALARM_TAGS = ("station", "zone", "agent", "purpose")


class Line(NamedTuple):
    """One limit line, in the canonical unit of its quantity."""

    words: str
    value: float


def limit_lines(quantity: Quantity, policy: Policy) -> list[Line]:
    """Return the levels of a quantity, lowest first; none where the policy has none."""
    if quantity is Quantity.GAMMA_DOSE_RATE:
        radiation = policy.radiation
        boundaries = {known.boundary_usv_h for known in radiation.jurisdiction.values()}
        lines = [
            Line("elevated (or 3 × the station's background)", radiation.elevated_usv_h),
            *(Line("danger-area boundary, by jurisdiction", b) for b in boundaries),
            Line("hot zone", radiation.hot_usv_h),
            Line("TURN BACK", radiation.turn_back_usv_h),
        ]
    else:
        known = chemical_levels(quantity.value, canonical_unit(quantity), policy)
        levels = (known.notice, known.level, known.extreme)
        lines = [Line(level.words, level.setpoint) for level in levels if level is not None]
    by_value: dict[float, list[str]] = {}
    for line in sorted(lines, key=lambda line: line.value):
        by_value.setdefault(line.value, []).append(line.words)
    return [Line(" and ".join(words), value) for value, words in by_value.items()]


def dashboard(policy: Policy, quantities: Iterable[Quantity]) -> Json:
    """Return the dashboard of a square that measures these quantities."""
    shown = list(dict.fromkeys(quantities))
    panels = [_note(), _open_alarms(), *_live_tables(shown)]
    panels += [_trend(q, limit_lines(q, policy)) for q in shown if q in _GAMMA]
    gases = [q for q in shown if q.value in AGENTS]
    panels += [_trend(gas, limit_lines(gas, policy)) for gas in gases]
    return {
        "uid": "cbrn-responder",
        "title": "CBRN responder",
        "description": NOTE.replace("**", ""),
        "tags": ["cbrn"],
        "schemaVersion": 36,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": "now-15m", "to": "now"},
        "timepicker": {"refresh_intervals": ["5s", "10s", "30s", "1m"]},
        "refresh": "5s",
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "links": [],
        "panels": _placed(panels),
    }


def quantities_of_gases(policy: Policy) -> list[Quantity]:
    """Return every gas with a level, radiation and wind."""
    gases = [Quantity(agent) for agent in AGENTS]
    return [*sorted(_ALWAYS), *(gas for gas in gases if limit_lines(gas, policy))]


def _variables() -> list[Json]:
    stations = 'SHOW TAG VALUES WITH KEY = "station" WHERE "site" =~ /^$site$/'
    return [
        {
            "name": "datasource",
            "label": "Database",
            "type": "datasource",
            "query": "influxdb",
            "hide": 0,
        },
        _variable("site", "Site", 'SHOW TAG VALUES WITH KEY = "site"'),
        _variable("station", "Station", stations)
        | {"multi": True, "includeAll": True, "allValue": ".*"}
        | {"current": {"text": ["All"], "value": ["$__all"]}},
    ]


def _variable(name: str, label: str, query: str) -> Json:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": query,
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "hide": 0,
    }


def _note() -> Json:
    return {
        "type": "text",
        "title": "",
        "gridPos": {"w": WIDTH, "h": 3},
        "options": {"mode": "markdown", "content": NOTE},
    }


def _open_alarms() -> Json:
    columns = ", ".join(f'"{name}"' for name in ("alarm_id", *_ALARM_FIELDS, *_ALARM_TAGS))
    query = (
        f'SELECT {columns} FROM "alarm" WHERE "site" =~ /^$site$/ '  # noqa: S608 - InfluxQL, our own names
        f"AND time > {_NOW} - 30d AND time <= {_NOW} ORDER BY time DESC LIMIT 10000"
    )
    newest = {
        name: {"operation": "aggregate", "aggregations": ["first"]}
        for name in ("Time", *_ALARM_FIELDS, *_ALARM_TAGS)
    }
    shown = ("priority", "purpose", "state", "station", "zone", "agent", "level", "value")
    order = [f"{name} (first)" for name in (*shown, "certainty", "kind", "Time", "version")]
    closed = {"fieldName": "state (first)", "config": _equal_to("normal")}
    return {
        "type": "table",
        "title": "Open alarms (newest version of each, of the last 30 days)",
        "description": "The console of the gateway has the truth; this is what it stored.",
        "datasource": _SOURCE,
        "gridPos": {"w": WIDTH, "h": 8},
        "targets": [_target("A", query)],
        "transformations": [
            {
                "id": "groupBy",
                "options": {
                    "fields": newest | {"alarm_id": {"operation": "groupby", "aggregations": []}}
                },
            },
            {
                "id": "filterByValue",
                "options": {"type": "exclude", "match": "any", "filters": [closed]},
            },
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"alarm_id": True},
                    "indexByName": {name: place for place, name in enumerate(order)},
                    "renameByName": {name: name.removesuffix(" (first)") for name in order},
                },
            },
        ],
        "options": {"showHeader": True, "sortBy": [{"displayName": "priority", "desc": False}]},
        "fieldConfig": {
            "defaults": {"custom": {"align": "left"}},
            "overrides": [_override("priority", _steps((1, "red"), (2, "orange"), (3, "yellow")))],
        },
    }


def _equal_to(word: str) -> Json:
    return {"id": "equal", "options": {"value": word}}


def _live_tables(shown: Sequence[Quantity]) -> list[Json]:
    groups: dict[tuple[str, Unit], list[Quantity]] = {}
    for quantity in shown:
        key = (series_of(quantity).value, canonical_unit(quantity))
        groups.setdefault(key, []).append(quantity)
    return [_live_table(series, unit, group) for (series, unit), group in groups.items()]


def _live_table(series: str, unit: Unit, group: Sequence[Quantity]) -> Json:
    # the newest point whatever it is: a channel that reports nothing usable shows that
    query = (
        f'SELECT "value", "quality", "quality" * 0 + ${{__to}} AS "now" FROM "{series}" '  # noqa: S608 - as above
        f"WHERE {_PLACE} AND {_one_of(group)} AND time > {_NOW} - 24h AND time <= {_NOW} "
        'GROUP BY "station", "channel", "agent", "purpose" ORDER BY time DESC LIMIT 1'
    )
    order = ("station", "channel", "agent", "value", "age", "quality", "purpose")
    qualities = {"0": "good", "1": "uncertain", "2": "BAD", "3": "STALE"}
    mapping = {number: {"text": text, "index": int(number)} for number, text in qualities.items()}
    return {
        "type": "table",
        "title": f"Live values, {series} in {unit.value}",
        "description": "Age of the newest point of each channel; red from 30 s on.",
        "datasource": _SOURCE,
        "gridPos": {"w": WIDTH // 2, "h": 7},
        "targets": [_target("A", query)],
        "transformations": [
            {
                "id": "convertFieldType",
                "options": {
                    "fields": {},
                    "conversions": [{"targetField": "Time", "destinationType": "number"}],
                },
            },
            {
                "id": "calculateField",
                "options": {
                    "mode": "binary",
                    "alias": "age",
                    "binary": {"left": "now", "operator": "-", "right": "Time"},
                    "replaceFields": False,
                },
            },
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True, "now": True},
                    "indexByName": {name: place for place, name in enumerate(order)},
                    "renameByName": {},
                },
            },
        ],
        "options": {"showHeader": True, "sortBy": [{"displayName": "station", "desc": False}]},
        "fieldConfig": {
            "defaults": {"custom": {"align": "left"}},
            "overrides": [
                _override("value", [{"id": "unit", "value": _grafana_unit(unit)}]),
                _override(
                    "age",
                    [{"id": "unit", "value": "ms"}, *_steps((STALE_AFTER_MS, "red"))],
                ),
                _override(
                    "quality",
                    [{"id": "mappings", "value": [{"type": "value", "options": mapping}]}],
                ),
            ],
        },
    }


def _trend(quantity: Quantity, lines: Sequence[Line]) -> Json:
    unit = canonical_unit(quantity)
    name = AGENTS[quantity.value].names["en"] if quantity.value in AGENTS else quantity.value
    is_wide = quantity is Quantity.GAMMA_DOSE_RATE
    custom: Json = {
        "drawStyle": "line",
        "showPoints": "auto",
        "spanNulls": False,
        "thresholdsStyle": {"mode": "line"},
        "axisSoftMin": 0,
    }
    if is_wide:
        custom["scaleDistribution"] = {"type": "log", "log": 10}
        custom["axisSoftMin"] = 0.01
    if lines:
        custom["axisSoftMax"] = round(lines[0 if is_wide else len(lines) // 2].value * 1.2, 9)
    said = "; ".join(f"{line.value:g} {unit.value}: {line.words}" for line in lines)
    return {
        "type": "timeseries",
        "title": f"{name.replace('_', ' ')}, {unit.value}",
        "description": f"Limit lines: {said}." if lines else "No limit of its own.",
        "datasource": _SOURCE,
        "gridPos": {"w": WIDTH // 2, "h": 8},
        "targets": [
            _series("A", series_of(quantity).value, quantity, "$tag_purpose"),
            _series("B", "estimate", quantity, "expected, $tag_purpose"),
        ],
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "fieldConfig": {
            "defaults": {
                "unit": _grafana_unit(unit),
                "custom": custom,
                "thresholds": _thresholds([(line.value, c) for line, c in _coloured(lines)]),
            },
            "overrides": [],
        },
    }


def _coloured(lines: Sequence[Line]) -> list[tuple[Line, str]]:
    return list(zip(lines, _COLOURS, strict=False))


def _series(ref: str, measurement: str, quantity: Quantity, what: str) -> Json:
    # the highest of each interval: a peak must not be averaged away
    query = (
        f'SELECT max("value") FROM "{measurement}" WHERE {_PLACE} AND '  # noqa: S608 - as above
        f"\"agent\" = '{quantity.value}' AND $timeFilter "
        'GROUP BY time($__interval), "station", "channel", "purpose" fill(none)'
    )
    alias = f"$tag_station $tag_channel {what}"
    return _target(ref, query) | {"resultFormat": "time_series", "alias": alias}


def _target(ref: str, query: str) -> Json:
    return {
        "refId": ref,
        "datasource": _SOURCE,
        "rawQuery": True,
        "query": query,
        "resultFormat": "table",
    }


def _one_of(group: Sequence[Quantity]) -> str:
    return f'"agent" =~ /^({"|".join(quantity.value for quantity in group)})$/'


def _grafana_unit(unit: Unit) -> str:
    return _UNITS.get(unit, f"suffix: {unit.value}")


def _override(name: str, properties: list[Json]) -> Json:
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def _steps(*steps: tuple[float, str]) -> list[Json]:
    colour = {"type": "color-background", "mode": "basic"}
    return [
        {"id": "custom.cellOptions", "value": colour},
        {"id": "custom.displayMode", "value": "color-background"},
        {"id": "thresholds", "value": _thresholds(steps)},
    ]


def _thresholds(steps: Sequence[tuple[float, str]]) -> Json:
    first: list[Json] = [{"color": "transparent", "value": None}]
    return {
        "mode": "absolute",
        "steps": first + [{"color": colour, "value": value} for value, colour in steps],
    }


def _placed(panels: Sequence[Json]) -> list[Json]:
    """Give each panel its id and place: from left to right, then the next row."""
    x = y = row_height = 0
    numbers = count(1)
    placed = []
    for panel in panels:
        size = panel["gridPos"]
        if x + size["w"] > WIDTH:
            x, y, row_height = 0, y + row_height, 0
        placed.append({"id": next(numbers)} | panel | {"gridPos": size | {"x": x, "y": y}})
        x, row_height = x + size["w"], max(row_height, size["h"])
    return placed


def main(arguments: list[str]) -> int:
    """Write the dashboard to standard output."""
    if len(arguments) > 1:
        sys.stderr.write("usage: make_dashboard.py [SITE.toml] > responder.json\n")
        return 2
    if arguments:
        site = load_site(Path(arguments[0]))
        policy = site.policy
        measured = {channel.quantity for channel in site.model.channels.values()}
        quantities = [
            quantity
            for quantity in Quantity
            if quantity in measured
            and (quantity in _ALWAYS or hazard_of(quantity) is Hazard.CHEMICAL)
        ]
    else:
        policy = load_policy()
        quantities = quantities_of_gases(policy)
    made = dashboard(policy, quantities)
    sys.stdout.write(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
