"""The Python client, driven in lines of JSON by the conformance script. README.md has the protocol."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from performance_optimizer import Knob, Rationale, TransientRejection, Tuner, connect_tuner

_KINDS = {"int": "int", "double": "float", "duration": "duration", "bool": "bool", "enum": "enum"}


class Harness:
    def __init__(self) -> None:
        self.tuner: Tuner | None = None
        self.knobs: dict[str, Knob[Any]] = {}
        self.told: dict[str, list[Any]] = {}
        self.moods: dict[str, tuple[str, str]] = {}
        self.released = threading.Event()

    def declare(self, knob_id: str, spec: dict[str, Any]) -> None:
        kind = _KINDS[spec.pop("type")]
        ceiling = {"ceiling_at_boot": spec.pop("ceilingAtBoot")} if "ceilingAtBoot" in spec else {}
        knob = getattr(self.tuner, kind)(knob_id, **spec, **ceiling)
        self.knobs[knob_id] = knob
        self.told[knob_id] = []
        knob.on_change(lambda value, why: self.listen(knob_id, value, why))

    def listen(self, knob_id: str, value: Any, why: Rationale) -> None:
        self.told[knob_id].append(value)
        mood, reason = self.moods.get(knob_id, ("agree", ""))
        if mood == "refuse":
            raise RuntimeError(reason)
        if mood == "refuse_for_now":
            raise TransientRejection(reason)
        if mood == "hang":
            self.released.wait()

    def perform(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "connect":
                component, tier, address = request["component"], request["tier"], request["address"]
                self.tuner = connect_tuner(component=component, tier=tier, address=address)
                for knob_id, spec in request["knobs"].items():
                    self.declare(knob_id, spec)
            case "declare":
                self.declare(request["knob"], request["spec"])
            case "read":
                return {"values": {knob_id: knob.value for knob_id, knob in self.knobs.items()}}
            case "time_reads":
                return self.time_reads()
            case "set":
                try:
                    self.knobs[request["knob"]].set(request["value"])
                except Exception as error:
                    return {"refused": str(error)}
            case "mood":
                self.moods[request["knob"]] = (request["is"], request.get("reason", "refused"))
            case "release":
                released, self.released = self.released, threading.Event()
                released.set()
            case "told":
                return {"values": self.told[request["knob"]]}
            case "status":
                return {"connected": self.tuner is not None and self.tuner.status.connected}
            case "jump_wall_clock":
                real, offset_s = time.time, request["ms"] / 1_000
                time.time = lambda: real() + offset_s
            case "close":
                if self.tuner is not None:
                    self.tuner.close()
            case other:
                return {"failed": f"cannot do {other}"}
        return {}

    def time_reads(self) -> dict[str, float]:
        """Of batches, as a single read is shorter than a clock can tell."""
        knob = next(iter(self.knobs.values()))
        each_us = []
        for _ in range(50):
            start = time.perf_counter()
            for _ in range(1_000):
                _ = knob.value
            each_us.append((time.perf_counter() - start) * 1_000)
        return {"leastUs": min(each_us), "longestUs": max(each_us)}


def main() -> None:
    harness = Harness()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = harness.perform(request)
        except Exception as error:
            answer = {"failed": repr(error)}
        print(json.dumps({"id": request["id"], **answer}), flush=True)


main()
