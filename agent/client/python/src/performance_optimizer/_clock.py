"""Time as the client sees it. Tests bring their own."""

import time
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> float:
        """Monotonic: never goes back, whatever is done to the wall clock."""
        ...


class SystemClock:
    def now_ms(self) -> float:
        return time.monotonic() * 1_000
