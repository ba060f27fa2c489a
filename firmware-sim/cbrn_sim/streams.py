"""Random numbers that depend on nothing but the seed and the name of who draws them."""

import hashlib

import numpy as np


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of (seed, name): Philox keyed by both, so no draw order matters."""
    digest = hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()
    key = np.frombuffer(digest[:16], dtype="<u8")
    return np.random.Generator(np.random.Philox(key=key))
