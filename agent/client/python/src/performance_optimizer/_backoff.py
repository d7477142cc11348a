"""Exponential, with half of each wait left to chance, so that many clients of a restarted agent do not return at
once."""

from collections.abc import Callable

_FIRST_MS = 200
# Below the usual lease (15 s), so that a restarted agent finds its clients while their values still hold.
LONGEST_MS = 8_000


def backoff_ms(failures: int, random: Callable[[], float]) -> float:
    ceiling: float = min(LONGEST_MS, _FIRST_MS * 2 ** min(failures, 16))
    return ceiling * (0.5 + 0.5 * random())
