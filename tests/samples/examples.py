"""How many examples a property gets: some in CI, 25 times as many at night."""

from hypothesis import settings

_CI = settings.get_profile("ci").max_examples
_PROFILE = settings.default.max_examples


def examples(ci: int) -> settings:
    """Return settings for `ci` examples, at night in proportion."""
    return settings(max_examples=ci * _PROFILE // _CI)
