"""Tuned values on disk, so that a process that is started again within their leases goes on where it was: optional, and
never in the way. A value is only ever taken back from here for as long as its lease would have lasted, and what cannot
be written or read is as if it had never been. The file is the TypeScript client's, too.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ._domain import is_safe_integer
from ._knob import Origin
from ._model import KnobValue, OnExpiry

_VERSION = 1
_MAX_BYTES = 1024 * 1024
# A wall clock that was put back must not make a lease last longer than a lease lasts.
_MAX_LEFT_MS = 3_600_000
_ON_EXPIRY: dict[object, OnExpiry] = {"baseline": "baseline", "last_good": "last_good", "hold": "hold"}


@dataclass(frozen=True)
class SavedValue:
    value: KnobValue
    origin: Origin
    on_expiry: OnExpiry
    expires_at_ms: float
    """By the wall clock: another process reads it."""


class SavedValues:
    def __init__(self, path: str, component: str, wall_ms: Callable[[], float] = lambda: time.time() * 1_000) -> None:
        self._path = Path(path)
        self._component = component
        self.wall_ms = wall_ms
        self._found = _read(self._path, component)

    def take(self, knob: str) -> tuple[SavedValue, float] | None:
        """What was held when it was written last, and for how much longer it may be."""
        saved = self._found.get(knob)
        if saved is None:
            return None
        left_ms = min(saved.expires_at_ms - self.wall_ms(), _MAX_LEFT_MS)
        return (saved, left_ms) if left_ms > 0 else None

    def put(self, values: Mapping[str, SavedValue]) -> None:
        """Replaces what stands in the file. Called on the tuner's own thread, without its lock."""
        knobs = {
            knob: {
                "value": saved.value,
                "origin": {
                    "commandId": saved.origin.command_id,
                    "epoch": saved.origin.epoch,
                    "revision": saved.origin.revision,
                },
                "onExpiry": saved.on_expiry,
                "expiresAtMs": saved.expires_at_ms,
            }
            for knob, saved in values.items()
        }
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        # A process that cannot write serves on as if it had never been asked to.
        with suppress(OSError):
            draft.touch(0o600)
            draft.write_text(json.dumps({"version": _VERSION, "component": self._component, "knobs": knobs}))
            draft.replace(self._path)


def _read(path: Path, component: str) -> dict[str, SavedValue]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        read = json.loads(data) if len(data) <= _MAX_BYTES else {}
        if read["version"] != _VERSION or read["component"] != component:
            return {}
        saved = {knob: _saved(each) for knob, each in read["knobs"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        # Not there, not readable, not JSON: a first start.
        return {}
    return {knob: each for knob, each in saved.items() if each is not None}


def _saved(read: object) -> SavedValue | None:
    if not isinstance(read, dict) or not isinstance(read.get("origin"), dict):
        return None
    value, expires_at_ms, origin = read.get("value"), read.get("expiresAtMs"), read["origin"]
    command_id, epoch, revision = origin.get("commandId"), origin.get("epoch"), origin.get("revision")
    on_expiry = _ON_EXPIRY.get(read.get("onExpiry"))
    if not isinstance(value, (bool, int, float, str)) or not isinstance(command_id, str) or on_expiry is None:
        return None
    if not all(isinstance(number, int) and is_safe_integer(number) for number in (epoch, revision)):
        return None
    if not isinstance(expires_at_ms, (int, float)) or not math.isfinite(expires_at_ms):
        return None
    return SavedValue(value, Origin(command_id, epoch, revision), on_expiry, expires_at_ms)
