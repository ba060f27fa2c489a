"""What the templates are filled with: every field of one alarm, in one language."""

import re
from functools import cached_property, lru_cache
from math import isfinite
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cbrn_core.agents import AGENTS, limit
from cbrn_core.alarm import (
    Alarm,
    Certainty,
    Condition,
    Corroboration,
    Priority,
    Reason,
    Scope,
)
from cbrn_core.channel import Channel
from cbrn_core.place import Site
from cbrn_core.quantities import Hazard
from cbrn_core.site_model import SiteModel
from cbrn_core.times import local_then_utc
from cbrn_core.units import Unit, UnitError, convert
from cbrn_gateway.alarms.texts_amounts import (
    amount_text,
    distance_text,
    duration_text,
    figure_text,
    is_below,
    is_written,
    signed,
    spelt,
)
from cbrn_gateway.alarms.texts_names import other_gases, substance
from cbrn_gateway.alarms.texts_prose import clipped, tidy
from cbrn_gateway.alarms.texts_types import Catalogue, Phrase, StoreLevel

RADIATION_DISTANCE_M = 30
RADIATION_DISTANCE_SOURCE = "IAEA EPR-First Responders 2006"
"""Unknown or unshielded source; recalled from the document, to be checked by the city."""

_LISTED_STATIONS = 6
_RADIO_WORD = 28
_LEAST_SPOKEN_S = 0.01
_DISK_WORDS: dict[str, Phrase] = {
    StoreLevel.DISK_NEARLY_FULL: Phrase.DISK_NEARLY_FULL,
    StoreLevel.DISK_FULL: Phrase.DISK_FULL,
    StoreLevel.DISK_SILENT: Phrase.DISK_SILENT,
    StoreLevel.JOURNAL_LARGE: Phrase.JOURNAL_LARGE,
}
_FIGURE = re.compile(r"AEGL-[123]|ERPG-[123]|IDLH")


@lru_cache(maxsize=16)
def local_zone(name: str) -> ZoneInfo:
    """Return the zone of a site; UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


class Story:
    """One alarm seen in one language.

    `word_length` clips names and levels, so that a radio line stays short.
    """

    def __init__(
        self, alarm: Alarm, model: SiteModel, words: Catalogue, word_length: int = 120
    ) -> None:
        self.alarm = alarm
        self.model = model
        self.words = words
        self._word_length = word_length
        self._on_radio = word_length == _RADIO_WORD

    @property
    def condition(self) -> Condition:
        """Return what the rule said."""
        return self.alarm.condition

    @property
    def site(self) -> Site:
        """Return the square."""
        return self.model.site

    def for_radio(self) -> "Story":
        """Return the same story in short words."""
        return Story(self.alarm, self.model, self.words, _RADIO_WORD)

    def say(self, phrase: Phrase, **more: str) -> str:
        """Return a phrase filled with the alarm's fields and `more`."""
        return self.words.phrases[phrase].format_map(self._fields | more)

    def fill(self, template: str) -> str:
        """Return a template filled with the alarm's fields."""
        return tidy(template.format_map(self._fields))

    def fact_word(self, key: str) -> str | None:
        """Return a fact that is text, on one line; None where it is not given."""
        fact = self.condition.facts.get(key)
        return clipped(fact, self._word_length) or None if isinstance(fact, str) else None

    def fact_number(self, key: str) -> float | None:
        """Return a fact that is a finite number; None where it is not given."""
        fact = self.condition.facts.get(key)
        if isinstance(fact, bool) or not isinstance(fact, int | float):
            return None
        return float(fact) if isfinite(fact) else None

    def counts(self) -> str:
        """Return how many stations and technologies agree."""
        stations, technologies = self._station_count, self._technology_count
        if (stations, technologies) == (1, 1):
            return self.say(Phrase.ONE_AND_ONE)
        watching = self.fact_number("stations_watching")
        spoken = self._plural(technologies, Phrase.TECHNOLOGY_ONE, Phrase.TECHNOLOGY_MANY)
        if watching is not None and watching >= stations:
            return self.say(
                Phrase.COUNTS_OF,
                over=str(stations),
                watching=f"{watching:.0f}",
                technologies=spoken,
            )
        listed = self._plural(stations, Phrase.STATION_ONE, Phrase.STATION_MANY)
        return self.say(Phrase.COUNTS, stations=listed, technologies=spoken)

    def also_explained(self) -> str:
        """Return what else could make this reading, as far as it is known."""
        if explanation := self.fact_word("also_explained_by"):
            return self.say(Phrase.ALSO_EXPLAINED, explanation=explanation)
        others = other_gases(self._channel(), self.words)
        return self.say(Phrase.ALSO_ANSWERS_TO, others=others) if others else ""

    def single_sensor(self) -> str:
        """Return the reminder that one sensor is enough to act on."""
        condition = self.condition
        alone = condition.corroboration is Corroboration.SINGLE
        possible = condition.certainty is Certainty.POSSIBLE
        explained = condition.priority is Priority.D
        if alone and possible and not explained and condition.scope is Scope.STATION:
            return self.say(Phrase.SINGLE_SENSOR)
        return ""

    def shown_beside(self) -> str:
        """Return what the instrument shows beside the estimate, where they differ."""
        shows = self.condition.instrument_value
        if self.condition.reason is Reason.EXPOSURE_EXCEEDED:
            return "" if shows is None else self._now()
        if shows is None or self.condition.value is None or self._fields["over_range"]:
            return ""
        if self._fields["shown"] == self._fields["spoken"]:
            return ""
        counted = self.condition.hazard == Hazard.RADIOLOGICAL
        return self.say(Phrase.SHOWN_COUNTED if counted else Phrase.SHOWN)

    def highest(self) -> str:
        """Return where a mobile station has been and its highest value, where that is past."""
        peak, value = self.fact_number("peak"), self.condition.value
        if peak is None or value is None or peak <= value:
            return ""
        words = self.words
        lat, lon = self.fact_number("peak_lat"), self.fact_number("peak_lon")
        place = "" if lat is None or lon is None else f" ({lat:.5f}°, {lon:.5f}°)"
        return self.say(
            Phrase.HIGHEST, peak=amount_text(peak, self.condition.unit, words), at=place
        )

    def limit_is_unsigned(self) -> bool:
        """Return whether the figure behind the level still lacks the city's signature."""
        said = self.condition.facts.get("limit_unsigned")
        if isinstance(said, bool):
            return said
        figure = _FIGURE.search(self.condition.level)
        if figure is None or self.condition.agent is None:
            return False
        durations = (10.0, 60.0, None)
        rows = (limit(self.condition.agent, figure[0], duration) for duration in durations)
        return any(row.needs_signature for row in rows if row is not None)

    def not_in_service_reason(self) -> str:
        """Return why the site is not in service."""
        given = clipped(self.site.not_in_service_reason, 120)
        return given or self.words.phrases[Phrase.NOT_IN_SERVICE_DEFAULT]

    @cached_property
    def _fields(self) -> dict[str, str]:
        condition = self.condition
        words = self.words
        fields = {
            "where": self._short(self._where()),
            "place": self._place(),
            "stations": self._short(self._where()) if self._on_radio else self._stations(),
            "channel": self._short(condition.channel or ""),
            "agent": substance(
                condition, self._channel(), words, self.fact_word("detection_class")
            ),
            "setpoint": self._setpoint(),
            "basis": words.basis[condition.basis],
            "moving": words.phrases[Phrase.MOVING] if condition.facts.get("moving") else "",
        }
        fields |= self._amounts() | self._levels(fields["setpoint"]) | self._technical()
        fields |= self._times()
        level = self._translated(condition.level)
        fields["condition"] = clipped(level, 60) or condition.reason.value
        return fields | {"near_source": self._near_source()}

    def _setpoint(self) -> str:
        setpoint = self.condition.setpoint
        if setpoint is None or not isfinite(setpoint) or not is_written(setpoint):
            return "–"
        return figure_text(setpoint, self.condition.unit, self.words)

    def _amounts(self) -> dict[str, str]:
        condition, words = self.condition, self.words
        over_range = self._is_over_range()
        shown_value = condition.instrument_value
        if shown_value is None:
            shown_value = condition.value
        of_a_window = condition.reason is Reason.EXPOSURE_EXCEEDED
        value = shown_value if over_range and not of_a_window else condition.value
        momentary = self.fact_number("momentary")
        lod = self._lod()
        sigma = condition.sigma

        def written(number: float | None, spread: float | None = None) -> str:
            return amount_text(
                number,
                condition.unit,
                words,
                sigma=spread,
                lod=lod,
                over_range=over_range,
            )

        return {
            "amount": written(value, sigma),
            "spoken": written(value),
            "shown": written(shown_value),
            "now": written(shown_value if over_range or momentary is None else momentary),
            "trend": "" if over_range else self._trend(),
            "ratio": self._ratio(),
            "over_range": "≥" if over_range else "",
            "above": words.phrases[Phrase.WAS_ABOVE if self._is_below_setpoint() else Phrase.ABOVE],
        }

    def _levels(self, setpoint: str) -> dict[str, str]:
        raw = self.condition.level or setpoint
        level = clipped(raw, self._word_length * 2)
        short = raw.replace(" concentration", "").replace("(momentary)", "")
        short = re.sub(r"\s*10-min", "", short)
        limit_words = raw.removesuffix(" exceeded")
        if self.condition.reason is Reason.EXPLAINED_BY_ALTITUDE:
            limit_words = self.words.phrases[Phrase.UNUSUAL]
        if not _FIGURE.search(raw) and self.condition.setpoint is not None:
            limit_words = setpoint if raw == setpoint else _with_figure(limit_words, setpoint)
        return {
            "level": self._translated(level),
            "level_short": clipped(self._translated(short), self._word_length),
            "level_limit": clipped(self._translated(limit_words), self._word_length * 2),
        }

    def _technical(self) -> dict[str, str]:
        words = self.words
        silent_s, moved_m = self.fact_number("silent_s"), self.fact_number("moved_m")
        bars = self.fact_number("bars")
        phrases = words.phrases
        return {
            "detail": self._detail(),
            "store": phrases[_DISK_WORDS.get(self.condition.level, Phrase.STORE_FAILS)],
            "about": self.fact_word("about") or "–",
            "silent": phrases[Phrase.FOR].format(duration=spelt(duration_text(silent_s), words))
            if silent_s is not None and silent_s >= _LEAST_SPOKEN_S
            else "",
            "jump": self._jump(),
            "moved": distance_text(moved_m)
            if moved_m is not None and moved_m >= 1
            else phrases[Phrase.MOVED_UNKNOWN],
            "bars": "" if not bars else phrases[Phrase.BARS].format(bars=f"{bars:.0f}"),
        }

    def _times(self) -> dict[str, str]:
        alarm, zone = self.alarm, local_zone(self.site.timezone)
        until = self.words.phrases[Phrase.UNTIL_UNKNOWN]
        return {
            "since": local_then_utc(alarm.observed_us, zone),
            "changed": local_then_utc(alarm.changed_us, zone),
            "acked_by": clipped(alarm.acked_by, 60) or self.words.phrases[Phrase.PERSON],
            "acked_at": local_then_utc(alarm.ack_us or alarm.changed_us, zone),
            "until": until if alarm.until_us is None else local_then_utc(alarm.until_us, zone),
        }

    def _where(self) -> str:
        condition = self.condition
        if condition.station is not None:
            return condition.station
        zone = self.model.zones.get(condition.zone or "")
        if zone is not None:
            return zone.name
        return self.site.name

    def _place(self) -> str:
        """Return where it was measured: all stations that take part, a single one by name."""
        where = self._where()
        if self._station_count > 1:
            return self._stations()
        station = self.model.stations.get(where)
        if station is None or station.name in {"", where}:
            return where
        return f"{where}, {clipped(station.name, 60)}"

    def _now(self) -> str:
        """Return what is there now beside a mean, and the level that this is above."""
        level = self.fact_word("momentary_level")
        if level is None:
            return self.say(Phrase.NOW)
        return self.say(Phrase.NOW_ABOVE, now_level=self._translated(level))

    def _evidence_stations(self) -> list[str]:
        own = [self.condition.station] if self.condition.station else []
        return list(dict.fromkeys(own + [item.station for item in self.condition.evidence]))

    def _stations(self) -> str:
        stations = self._evidence_stations()
        if not stations:
            return self._where()
        more = ", …" if len(stations) > _LISTED_STATIONS else ""
        return ", ".join(stations[:_LISTED_STATIONS]) + more

    @cached_property
    def _station_count(self) -> int:
        return max(1, len(self._evidence_stations()))

    @cached_property
    def _technology_count(self) -> int:
        said = self.fact_number("technologies")
        if said is not None and said >= 1:
            return round(said)
        keys = [(item.station, item.channel) for item in self.condition.evidence]
        known = {self.model.channels[key].technology for key in keys if key in self.model.channels}
        return max(1, len(known))

    def _plural(self, count: int, one: Phrase, many: Phrase) -> str:
        return self.say(one if count == 1 else many, count=str(count))

    def _channel(self) -> Channel | None:
        key = (self.condition.station or "", self.condition.channel or "")
        return self.model.channels.get(key)

    def _is_over_range(self) -> bool:
        if self.condition.facts.get("over_range") is True:
            return True
        channel, shown = self._channel(), self.condition.instrument_value
        if channel is None or channel.range is None or shown is None:
            return False
        highest = self._in_condition_unit(channel.range[1], channel)
        return highest is not None and shown >= highest

    def _lod(self) -> float | None:
        said = self.fact_number("lod")
        channel = self._channel()
        if said is not None or channel is None or channel.lod is None:
            return said
        return self._in_condition_unit(channel.lod, channel)

    def _in_condition_unit(self, value: float, channel: Channel) -> float | None:
        agent = AGENTS.get(channel.quantity.value)
        try:
            unit = Unit(self.condition.unit or "")
            return convert(
                value,
                channel.unit,
                unit,
                molar_mass_g_mol=None if agent is None else agent.molar_mass_g_mol,
            )
        except (UnitError, ValueError):
            return None

    def _is_below_setpoint(self) -> bool:
        """Return whether the level only holds because it has not cleared yet."""
        value, setpoint = self.condition.value, self.condition.setpoint
        if value is None or setpoint is None or self._is_over_range():
            return False
        return value < setpoint

    def _trend(self) -> str:
        trend, value = self.condition.trend_per_min, self.condition.value
        if trend is None or value is None or not isfinite(trend) or not isfinite(value):
            return ""
        if is_below(value, self.condition.sigma, self._lod()):
            return ""
        noticeable = max(self.condition.sigma or 0.0, 0.05 * abs(value))
        if abs(trend) <= noticeable:
            return ""
        return self.words.phrases[Phrase.RISING if trend > 0 else Phrase.FALLING]

    def _ratio(self) -> str:
        ratio = self.fact_number("normal_ratio")
        if ratio is None or ratio <= 1:
            return ""
        number = f"{ratio:.0f}" if ratio >= 3 else spelt(f"{ratio:.1f}", self.words)
        return self.words.phrases[Phrase.NORMAL_RATIO].format(ratio=number)

    def _near_source(self) -> str:
        return self.words.phrases[Phrase.NEAR_SOURCE].format(
            distance=distance_text(RADIATION_DISTANCE_M),
            distance_source=RADIATION_DISTANCE_SOURCE,
        )

    def _detail(self) -> str:
        code, detail = self.condition.facts.get("fault_code"), self.fact_word("detail")
        other = self.fact_word("other_instrument")
        if other:
            detail = self.words.phrases[Phrase.OTHER_INSTRUMENT].format(id=other)
        if self.condition.reason is Reason.NOT_IN_SERVICE:
            detail = detail or self.not_in_service_reason()
        if self.condition.reason is Reason.STORE_FAILED:
            detail = self._store_detail() or detail
        has_code = isinstance(code, int | str) and not isinstance(code, bool)
        parts = [str(code)] if has_code and str(code) != "0" else []
        parts += [detail] if detail else []
        return f" ({': '.join(parts)})" if parts else ""

    def _store_detail(self) -> str:
        phrases = self.words.phrases
        if (free_mb := self.fact_number("free_mb")) is not None:
            return phrases[Phrase.FREE_MB].format(free=f"{free_mb:.0f}")
        if (taken_mb := self.fact_number("taken_mb")) is not None:
            return phrases[Phrase.TAKEN_MB].format(taken=f"{taken_mb:.0f}")
        if (since_us := self.fact_number("since_us")) is not None:
            since = local_then_utc(int(since_us), local_zone(self.site.timezone))
            return phrases[Phrase.SILENT_SINCE].format(since=since)
        return ""

    def _jump(self) -> str:
        jump, jump_s = self.fact_number("jump"), self.fact_number("jump_s")
        if jump is None or not is_written(jump):
            return self.words.phrases[Phrase.SUDDENLY]
        change = signed(jump, self.condition.unit, self.words)
        if jump_s is None or jump_s < _LEAST_SPOKEN_S:
            return change
        duration = spelt(duration_text(jump_s), self.words)
        return self.words.phrases[Phrase.JUMP].format(change=change, duration=duration)

    def _translated(self, level: str) -> str:
        for pattern, replacement in self.words.levels:
            level = re.sub(pattern, replacement, level)
        return level

    def _short(self, text: str) -> str:
        return clipped(text, self._word_length)


def _with_figure(limit: str, figure: str) -> str:
    if limit.endswith(")"):
        return f"{limit[:-1]}: {figure})"
    return f"{limit} ({figure})"
