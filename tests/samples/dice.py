"""Chance that can be had again: the seed is printed, and taken from CBRN_SEED where it is set."""

import os
import random


def dice(what: str) -> random.Random:
    """Return random numbers for `what`, which is printed with their seed."""
    said = os.environ.get("CBRN_SEED")
    seed = random.SystemRandom().randrange(2**32) if said is None else int(said)
    print(f"{what} at random: CBRN_SEED={seed}")
    return random.Random(seed)
