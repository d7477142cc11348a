"""Times requests and counts those under way."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ._clock import Clock

Request = TypeVar("Request")
Allocation = TypeVar("Allocation")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Monitored(Generic[Result, Allocation]):
    """What was measured of one request, and nothing else."""

    result: Result
    execution_time_ms: float
    in_flight: int
    """Requests under way when this one began, itself included."""
    allocation: Allocation


@dataclass(frozen=True)
class MonitoringTotals:
    """Sums since the start."""

    in_flight: int = 0
    succeeded: int = 0
    failed: int = 0
    execution_time_ms_total: float = 0
    """Of those that succeeded."""


class Monitoring:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """In a forked child nothing is under way, and a lock that the parent held is held by nobody."""
        self._lock = threading.Lock()
        self._in_flight = self._succeeded = self._failed = 0
        self._execution_time_ms_total = 0.0

    @property
    def totals(self) -> MonitoringTotals:
        with self._lock:
            return MonitoringTotals(self._in_flight, self._succeeded, self._failed, self._execution_time_ms_total)

    def run(
        self, request: Request, allocation: Allocation, execute: Callable[[Request, Allocation], Any]
    ) -> Monitored[Any, Allocation] | Awaitable[Monitored[Any, Allocation]]:
        in_flight, start_ms = self._begin()
        try:
            result = execute(request, allocation)
        except BaseException:
            self._end(None)
            raise
        if inspect.isawaitable(result):
            return self._finish(result, in_flight, start_ms, allocation)
        elapsed_ms = self._clock.now_ms() - start_ms
        self._end(elapsed_ms)
        return Monitored(result, elapsed_ms, in_flight, allocation)

    async def _finish(
        self, answer: Awaitable[Any], in_flight: int, start_ms: float, allocation: Allocation
    ) -> Monitored[Any, Allocation]:
        try:
            result = await answer
        except BaseException:
            self._end(None)
            raise
        elapsed_ms = self._clock.now_ms() - start_ms
        self._end(elapsed_ms)
        return Monitored(result, elapsed_ms, in_flight, allocation)

    def _begin(self) -> tuple[int, float]:
        with self._lock:
            self._in_flight += 1
            return self._in_flight, self._clock.now_ms()

    def _end(self, elapsed_ms: float | None) -> None:
        with self._lock:
            self._in_flight = max(0, self._in_flight - 1)
            if elapsed_ms is None:
                self._failed += 1
            else:
                self._succeeded += 1
                self._execution_time_ms_total += elapsed_ms
