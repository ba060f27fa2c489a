"""Every loss is counted under a name; nothing disappears silently."""

from collections import Counter
from enum import StrEnum


class Drop(StrEnum):
    """Why a reading, or part of it, went no further."""

    UNKNOWN_CHANNEL = "unknown_channel"
    UNIT_MISMATCH = "unit_mismatch"
    NOT_FINITE = "not_finite"
    NOT_IN_ORDER = "not_in_order"
    PURPOSE_MARK_IGNORED = "purpose_mark_ignored"
    BAD_QUALITY = "bad_quality"
    NO_VALUE = "no_value"
    WARMING_UP = "warming_up"
    FILTER_REFUSED = "filter_refused"
    BAD_FIX = "bad_fix"
    BAD_TIME = "bad_time"
    BAD_LIVETIME = "bad_livetime"
    BAD_SEQUENCE = "bad_sequence"
    BAD_DETECTION = "bad_detection"
    CLOCK_SET_BACK = "clock_set_back"


class DropCounter:
    """Counts by name since the start of the pipeline."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, drop: str, number: int = 1) -> None:
        """Count one loss."""
        self._counts[drop] += number

    def counts(self) -> dict[str, int]:
        """Return the counts, sorted by name."""
        return dict(sorted(self._counts.items()))
