"""Exponential, with half of each wait left to chance, so that many clients of a restarted agent do not return at
once."""

from collections.abc import Callable

_FIRST_MS = 200
# An attempt on this machine costs next to nothing, and a restarted agent is worth nothing until its processes are back.
_LONGEST_MS = 2_000
# Before asking again what was refused.
AFTER_REFUSAL_MS = 8_000


def backoff_ms(failures: int, random: Callable[[], float]) -> float:
    ceiling: float = min(_LONGEST_MS, _FIRST_MS * 2 ** min(failures, 16))
    return ceiling * (0.5 + 0.5 * random())
