"""What a language must say: one structure for all, so that one lint covers them all."""

from enum import StrEnum

import msgspec

from cbrn_core.alarm import AlarmState, Basis, Certainty, Reason
from cbrn_core.reading import DetectionClass


class StoreLevel(StrEnum):
    """Levels of the alarm about a store, mildest first."""

    FAILS = "store fails"
    DISK_NEARLY_FULL = "disk nearly full"
    DISK_FULL = "disk full"
    DISK_SILENT = "disk does not answer"
    JOURNAL_LARGE = "journal is large"


class Phrase(StrEnum):
    """Sentences that belong to no single rule or state."""

    EXERCISE = "exercise"
    TEST = "test"
    REAL_DURING_EXERCISE = "real_during_exercise"
    BELOW = "below"
    BELOW_DETECTION = "below_detection"
    OVER_RANGE = "over_range"
    NO_VALUE = "no_value"
    RISING = "rising"
    FALLING = "falling"
    ABOVE = "above"
    WAS_ABOVE = "was_above"
    HIGHEST = "highest"
    UNUSUAL = "unusual"
    SHOWN = "shown"
    SHOWN_COUNTED = "shown_counted"
    NOW = "now"
    NOW_ABOVE = "now_above"
    ONE_AND_ONE = "one_and_one"
    COUNTS = "counts"
    STATION_ONE = "station_one"
    STATION_MANY = "station_many"
    TECHNOLOGY_ONE = "technology_one"
    TECHNOLOGY_MANY = "technology_many"
    JUMP = "jump"
    OTHER_INSTRUMENT = "other_instrument"
    SUDDENLY = "suddenly"
    FOR = "for"
    MOVED_UNKNOWN = "moved_unknown"
    BARS = "bars"
    STORE_FAILS = "store_fails"
    DISK_NEARLY_FULL = "disk_nearly_full"
    DISK_FULL = "disk_full"
    DISK_SILENT = "disk_silent"
    JOURNAL_LARGE = "journal_large"
    FREE_MB = "free_mb"
    TAKEN_MB = "taken_mb"
    SILENT_SINCE = "silent_since"
    COUNTS_OF = "counts_of"
    SINGLE_SENSOR = "single_sensor"
    ALSO_ANSWERS_TO = "also_answers_to"
    ALSO_EXPLAINED = "also_explained"
    DECLARED = "declared"
    PLACE = "place"
    CERTAINTY = "certainty"
    CERTAINTY_BY_PERSON = "certainty_by_person"
    SINCE = "since"
    CHANGED = "changed"
    NORMAL_RATIO = "normal_ratio"
    NEAR_SOURCE = "near_source"
    MOVING = "moving"
    BACKGROUND_NOT_COMMISSIONED = "background_not_commissioned"
    LIMIT_UNSIGNED = "limit_unsigned"
    SITE_NOT_IN_SERVICE = "site_not_in_service"
    NOT_IN_SERVICE_DEFAULT = "not_in_service_default"
    RETURNED_HAZARD = "returned_hazard"
    RETURNED_RADIATION = "returned_radiation"
    RETURNED_TECHNICAL = "returned_technical"
    LAST_VALUE = "last_value"
    ESCALATED = "escalated"
    PERSON = "person"
    WORDS_OF = "words_of"
    NOT_DETECTABLE = "not_detectable"
    OUTSIDE_THE_LINE = "outside_the_line"
    NO_SOURCE_SINGLE = "no_source_single"
    NO_SOURCE_YET = "no_source_yet"
    LEAST = "least"
    LEAST_RETURNED = "least_returned"
    NO_AREA = "no_area"
    UNTIL_UNKNOWN = "until_unknown"
    KEEP_AWAY_CHEMICAL = "keep_away_chemical"
    KEEP_AWAY_RADIATION = "keep_away_radiation"
    KEEP_AWAY_BIOLOGICAL = "keep_away_biological"


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """All words of one language; templates are filled by `texts.py`.

    Attributes:
        what: the first sentence, by rule.
        brief: the same for the radio.
        states: what the alarm's state adds; empty where it adds nothing.
        levels: (pattern, replacement) pairs that turn a level's wire name into words.
        quantities: words for measured things that are not agents, by quantity prefix.
    """

    language: str
    decimal_mark: str
    what: dict[Reason, str]
    brief: dict[Reason, str]
    states: dict[AlarmState, str]
    certainty: dict[Certainty, str]
    basis: dict[Basis, str]
    classes: dict[DetectionClass, str]
    quantities: dict[str, str]
    levels: tuple[tuple[str, str], ...]
    phrases: dict[Phrase, str]

    def templates(self) -> list[str]:
        """Return every text of the catalogue, for the lint."""
        tables = (
            self.what,
            self.brief,
            self.states,
            self.certainty,
            self.basis,
            self.classes,
            self.quantities,
            self.phrases,
        )
        return [text for table in tables for text in table.values()] + [
            replacement for _, replacement in self.levels
        ]
