"""How often a fault is repeated: some times in CI, ten times as often at night."""

import os

import pytest

NIGHT = os.environ.get("CBRN_HYPOTHESIS") == "night"


def cycles(ci: int) -> pytest.MarkDecorator:
    """Give the test a parameter `times`."""
    return pytest.mark.parametrize("times", [ci * 10 if NIGHT else ci])
