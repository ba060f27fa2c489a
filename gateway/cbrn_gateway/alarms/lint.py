"""Vocabulary lint: words that a machine may not say (safety 2), in three languages.

Allowed are enumeration values (they are not prose), the quoted words of a named person
(`NAME: “…”`), and two fixed sentences. Everything else that is found is a violation.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

ALLOWED_SENTENCES = ("area NOT declared safe", "outside the line is not safe")


class Violation(NamedTuple):
    """A banned word and where it stands."""

    word: str
    excerpt: str
    path: str = ""


# Below detection is "below 0.05 ppm": a zero that is a whole number by itself says more
# than an instrument can. Times, ids and decimals contain zeros that are not bare, and a
# temperature or an angle of zero is a place on its scale.
_BARE_ZERO = r"(?<![\w.,:])[-−+]?0(?:[.,]0+)?(?![\w:]|[.,]\d|\s*°|\s*dBm)"

_BANNED: Mapping[str, tuple[str, ...]] = {
    "en": (
        r"\bsafe(?:ly|r|st)?\b",
        r"\ball[\s-]*clear\b",
        r"\bno (?:longer any )?(?:danger|hazard|risk|threat)\b",
        r"\bnot dangerous\b",
        r"\bharmless\b",
        r"\bconfirmed\b",
        r"\battack\w*\b",
    ),
    "nb": (
        r"\btryg[gt]\w*\b",
        r"\bfaren?(?: er)? over\b",
        r"\bingen (?:fare|risiko|trussel)\b",
        r"\b(?:ikke farlig|ufarlig)\w*\b",
        r"\bfriskmeldt\b",
        r"\bklarsignal\w*\b",
        r"\bbekreft(?:et|ede|a)\b",
        r"\bangrep\w*\b",
        r"\bangrip\w*\b",
    ),
    "it": (
        r"\bsicur(?:o|a|i|e|amente)\b",
        r"\bin sicurezza\b",
        r"\bcessato (?:l')?(?:allarme|pericolo)\b",
        r"\bfine (?:dell')?(?:allarme|pericolo)\b",
        r"\bnessun (?:pericolo|rischio)\b",
        r"\bnon (?:è )?pericolos\w*\b",
        r"\binnocu[oaie]\b",
        r"\bvia libera\b",
        r"\bconfermat[oaie]\b",
        r"\battacc(?:o|hi|are|at\w*)\b",
    ),
}
_PATTERNS = {
    language: re.compile("|".join((*words, _BARE_ZERO)), re.IGNORECASE)
    for language, words in _BANNED.items()
}
_ALLOWED = re.compile("|".join((*map(re.escape, ALLOWED_SENTENCES), r"(?<=[\w)\].]: )“[^“”]*”")))
_AROUND = 24

PROSE_FIELDS = (
    "text",
    "read_aloud",
    "level",
    "clears_when",
    "missing",
    "cannot_see",
    "reason",
    "source_reason",
    "hazard_area_reason",
    "actions",
    "playbook",
)
"""Properties of an alert that people read as sentences."""
_NOT_PROSE = frozenset({"role", "date", "valid_until", "approved_by"})


def lint(text: str, language: str = "en") -> list[Violation]:
    """Return what is banned in a text; every language is also held to the English list.

    Raises:
        KeyError: no such language.
    """
    # A gap instead of what is allowed, so that nothing grows together over it.
    judged = _ALLOWED.sub(lambda match: "\x00" * len(match[0]), text)
    patterns = dict.fromkeys((_PATTERNS["en"], _PATTERNS[language]))
    found = {
        (match.start(), match[0]) for pattern in patterns for match in pattern.finditer(judged)
    }
    return [Violation(word, _excerpt(text, at)) for at, word in sorted(found)]


def lint_alert(alert: Mapping[str, object], language: str = "en") -> list[Violation]:
    """Return what is banned in the sentences of an alert (a GeoJSON Feature)."""
    properties = alert.get("properties")
    if not isinstance(properties, Mapping):
        return []
    return [
        Violation(violation.word, violation.excerpt, path)
        for name in PROSE_FIELDS
        for path, text in _texts(properties.get(name), name)
        for violation in lint(text, language)
    ]


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key not in _NOT_PROSE:
                yield from _texts(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")


def _excerpt(text: str, at: int) -> str:
    return text[max(0, at - _AROUND) : at + _AROUND]
