"""Stores with rows that are old enough to be rolled up, and rolling them up to the end."""

from samples.store_samples import reading

from cbrn_gateway.store.roller import LOOK_EVERY_S
from cbrn_gateway.store.series import Snapshot

LATER_S = 7_200


def remember(series, row=None):
    last_row = series.last_row() if row is None else row
    series.save_snapshot(Snapshot(journal_seq=0, last_row=last_row, config_hash="", state=b""))


def grown_old(series, readings, estimates=()):
    """Store samples that may be rolled up, and one much younger."""
    series.append(readings, estimates)
    remember(series)
    series.append([reading(LATER_S, station="young")])


def roll(roller, most=10_000):
    """Step until it waits for the next look; return how many steps that took."""
    for steps in range(1, most):
        roller.step()
        if roller.wait_s() >= LOOK_EVERY_S - 1:
            return steps
    raise AssertionError("it never ends")
