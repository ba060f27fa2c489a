"""How many examples a property gets: some in CI, 250 times as many at night."""

from hypothesis import settings

_CI = settings.get_profile("ci").max_examples
_PROFILE = settings.default.max_examples


def examples(ci: int) -> settings:
    """Return settings for `ci` examples, at night in proportion, at most the profile's number.

    So a property of 200 or more gets all of the night profile, a slow one its share.
    """
    if _PROFILE <= _CI:
        return settings(max_examples=ci)
    return settings(max_examples=min(_PROFILE, ci * _PROFILE // _CI))
