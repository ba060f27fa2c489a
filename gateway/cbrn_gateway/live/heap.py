"""How the C library keeps memory for a process that runs for months."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Names of mallopt(3)."""

ARENAS = 2
LARGE_BYTES = 128 * 1024
"""A block from here on is given back as soon as it is free."""


def give_back_what_is_free() -> bool:
    """Have few heaps, and give large blocks back at once; False where the library is another.

    By default glibc begins a heap for each thread, and raises the size from which a block is
    given back to the largest that was ever free: snapshots and batches leave holes then.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = (
        (_M_ARENA_MAX, ARENAS),
        (_M_MMAP_THRESHOLD, LARGE_BYTES),
        (_M_TRIM_THRESHOLD, LARGE_BYTES),
    )
    return all(mallopt(name, value) == 1 for name, value in wanted)
