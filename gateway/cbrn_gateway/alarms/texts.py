"""Plain words of an alert: what, where, how sure, since when; and one line for the radio.

Pure: the same alarm, model and language give the same words. Rules may add facts to a
condition; all are optional and unknown ones are ignored:

====================== =======================================================
``over_range``         the instrument is at the end of its range
``lod``                detection limit in the condition's unit
``stations_watching``  how many stations could see this
``technologies``       how many technologies agree, where the evidence cannot say
``also_explained_by``  e.g. "ozone/NO2/ClO2: no"
``declared``           a declared benign explanation, with its end and place
``limit_unsigned``     overrides what the agents table says about the signature
``normal_ratio``       multiple of the station's background
``peak``, ``peak_lat``, ``peak_lon``  highest value of a mobile station, and its place
``background_commissioned``  False adds a note
``moving``             the rise moves across stations
``detection_class``, ``bars``       of a class detector
``fault_code``, ``detail``          the instrument's or receiver's own words
``other_instrument``   what an instrument that is not ours at this port calls itself
``silent_s``, ``jump``, ``jump_s``, ``moved_m``  of technical alarms
``about``              the link, radio or control room of a technical alarm
``free_mb``            room left on a disk that fills up
``since_us``           (steady clock) when a disk was asked that does not answer
``taken_mb``           what a journal takes of its disk
``exercise``           name of the exercise
``confirmed_by``, ``method``        the person behind certainty "confirmed"
====================== =======================================================
"""

from collections.abc import Mapping
from typing import NamedTuple

from cbrn_core.alarm import Alarm, AlarmState, Certainty, Reason
from cbrn_core.quantities import Hazard
from cbrn_core.reading import Purpose
from cbrn_core.site_model import SiteModel
from cbrn_gateway.alarms.texts_en import ENGLISH
from cbrn_gateway.alarms.texts_fields import RADIATION_DISTANCE_M, Story
from cbrn_gateway.alarms.texts_it import ITALIAN
from cbrn_gateway.alarms.texts_nb import NORWEGIAN
from cbrn_gateway.alarms.texts_prose import clipped, tidy
from cbrn_gateway.alarms.texts_types import Catalogue, Phrase

CATALOGUES: Mapping[str, Catalogue] = {"en": ENGLISH, "nb": NORWEGIAN, "it": ITALIAN}
READ_ALOUD_LIMIT = 200
RETURNED = frozenset({AlarmState.RTN_UNACK, AlarmState.LATCHED, AlarmState.NORMAL})

_HAZARDS = frozenset({Hazard.CHEMICAL, Hazard.BIOLOGICAL, Hazard.RADIOLOGICAL})
_KEEP_AWAY = {
    Hazard.CHEMICAL: Phrase.KEEP_AWAY_CHEMICAL,
    Hazard.BIOLOGICAL: Phrase.KEEP_AWAY_BIOLOGICAL,
    Hazard.RADIOLOGICAL: Phrase.KEEP_AWAY_RADIATION,
}
_FAULTS = frozenset(
    {
        Reason.STALE,
        Reason.INSTRUMENT_FAULT,
        Reason.INSTRUMENT_INHIBITED,
        Reason.STEP,
        Reason.SPIKE,
        Reason.STUCK,
        Reason.NOT_IN_SERVICE,
        Reason.LINK_DOWN,
        Reason.RADIO_DOWN,
        Reason.DELIVERY_REFUSED,
        Reason.STORE_FAILED,
        Reason.ALERT_INCOMPLETE,
        Reason.LOOP_LATE,
        Reason.PATH_UNPROVEN,
        Reason.CERTIFICATE_EXPIRES,
        Reason.CLOCK_SET,
        Reason.COVERAGE_LOST,
        Reason.CLOCK_UNSYNCED,
        Reason.CONFIG_NOT_IN_FORCE,
        Reason.MOVED,
    }
)
_ADVICE_UP_TO_PRIORITY = 2


class Words(NamedTuple):
    """The two texts of an alert."""

    text: str
    read_aloud: str


def describe(
    alarm: Alarm,
    model: SiteModel,
    *,
    language: str = "en",
    running_exercise: str | None = None,
    area_drawn: bool = False,
) -> Words:
    """Return the words of an alarm; an unknown language gets English.

    `running_exercise` names an exercise that runs beside this pipeline: a real alarm then
    begins by saying that it is not part of it.
    """
    story = Story(alarm, model, catalogue(language))
    prefix = _prefix(story, running_exercise)
    sentences = _returned(story) if alarm.state in RETURNED else _active(story)
    if area_drawn:
        sentences.append(story.say(Phrase.OUTSIDE_THE_LINE))
    sentences += _state(story) + _notes(story)
    return Words(tidy(prefix + " ".join(filter(None, sentences))), _radio(story, prefix))


def catalogue(language: str) -> Catalogue:
    """Return the catalogue of a language, the English one where there is none."""
    return CATALOGUES.get(language, ENGLISH)


def not_detectable(agent_name: str, level: str, language: str = "en") -> str:
    """Return what is said of a level that no channel here can see."""
    phrase = catalogue(language).phrases[Phrase.NOT_DETECTABLE]
    return phrase.format(agent=agent_name, level=level)


def speaks_of_hazard(alarm: Alarm) -> bool:
    """Return whether the alarm is about people in danger rather than about equipment."""
    condition = alarm.condition
    return condition.hazard in _HAZARDS and condition.reason not in _FAULTS


def _prefix(story: Story, running_exercise: str | None) -> str:
    purpose = story.condition.purpose
    name = story.fact_word("exercise") or running_exercise
    title = f" {clipped(name, 40)}" if name else ""
    if purpose == Purpose.EXERCISE:
        return story.say(Phrase.EXERCISE, name=title)
    if purpose == Purpose.TEST:
        return story.say(Phrase.TEST)
    if running_exercise:
        return story.say(Phrase.REAL_DURING_EXERCISE, name=title)
    return ""


def _active(story: Story) -> list[str]:
    sentences = [story.fill(story.words.what[story.condition.reason])]
    if speaks_of_hazard(story.alarm):
        sentences += [
            story.counts(),
            story.also_explained(),
            story.single_sensor(),
            story.shown_beside(),
            story.highest(),
            story.say(Phrase.PLACE),
            _certainty(story),
        ]
    return [*sentences, story.say(Phrase.SINCE)]


def _returned(story: Story) -> list[str]:
    sentences = [story.fill(story.words.phrases[_returned_phrase(story)])]
    if speaks_of_hazard(story.alarm):
        sentences += [story.say(Phrase.LAST_VALUE), _certainty(story)]
    return [*sentences, story.say(Phrase.SINCE), story.say(Phrase.CHANGED)]


def _returned_phrase(story: Story) -> Phrase:
    if not speaks_of_hazard(story.alarm):
        return Phrase.RETURNED_TECHNICAL
    explained = story.condition.reason is Reason.EXPLAINED_BY_ALTITUDE
    if story.condition.hazard == Hazard.RADIOLOGICAL and not explained:
        return Phrase.RETURNED_RADIATION
    return Phrase.RETURNED_HAZARD


def _certainty(story: Story) -> str:
    certainty = story.condition.certainty
    if certainty is Certainty.CONFIRMED:
        return story.say(
            Phrase.CERTAINTY_BY_PERSON,
            person=story.fact_word("confirmed_by") or story.say(Phrase.PERSON),
            method=story.fact_word("method") or "–",
        )
    return story.say(Phrase.CERTAINTY, certainty=story.words.certainty[certainty])


def _state(story: Story) -> list[str]:
    alarm = story.alarm
    sentences = [story.fill(story.words.states[alarm.state])]
    if alarm.state is AlarmState.UNACK and alarm.version > 1 and alarm.annunciate:
        sentences.append(story.say(Phrase.ESCALATED))
    if alarm.note:
        person = clipped(alarm.acked_by, 60) or story.say(Phrase.PERSON)
        sentences.append(story.say(Phrase.WORDS_OF, person=person, words=clipped(alarm.note, 200)))
    return sentences


def _notes(story: Story) -> list[str]:
    notes = []
    if speaks_of_hazard(story.alarm) and story.limit_is_unsigned():
        notes.append(story.say(Phrase.LIMIT_UNSIGNED))
    if story.condition.facts.get("background_commissioned") is False:
        notes.append(story.say(Phrase.BACKGROUND_NOT_COMMISSIONED))
    if declared := story.fact_word("declared"):
        notes.append(story.say(Phrase.DECLARED, declared=declared))
    if not story.site.in_service and story.condition.reason is not Reason.NOT_IN_SERVICE:
        notes.append(story.say(Phrase.SITE_NOT_IN_SERVICE, reason=story.not_in_service_reason()))
    return notes


def _radio(story: Story, prefix: str) -> str:
    """Return one line: the first part always, the rest as far as there is room."""
    brief = story.for_radio()
    condition = story.condition
    if story.alarm.state in RETURNED:
        parts = [brief.fill(story.words.phrases[_radio_returned_phrase(story)])]
    else:
        parts = [brief.fill(story.words.brief[condition.reason])]
        if speaks_of_hazard(story.alarm):
            if condition.priority <= _ADVICE_UP_TO_PRIORITY:
                parts.append(_keep_away(story))
            parts.append(_certainty(brief))
    parts.append(brief.say(Phrase.SINCE))
    line = clipped(tidy(prefix + parts[0]), READ_ALOUD_LIMIT)
    for part in filter(None, parts[1:]):
        if len(line) + 1 + len(part) <= READ_ALOUD_LIMIT:
            line = f"{line} {part}"
    return line


def _radio_returned_phrase(story: Story) -> Phrase:
    hazard = speaks_of_hazard(story.alarm)
    return Phrase.RETURNED_HAZARD if hazard else Phrase.RETURNED_TECHNICAL


def _keep_away(story: Story) -> str:
    distance = f"{RADIATION_DISTANCE_M} m"
    return story.say(_KEEP_AWAY[Hazard(story.condition.hazard)], distance=distance)
