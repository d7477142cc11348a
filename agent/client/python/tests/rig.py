"""A client's holdings in virtual time, with all that it reports, and listeners that answer when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from performance_optimizer._holdings import ACCEPTED, Holdings, Verdict
from performance_optimizer._knob import Knob, KnobRecord
from performance_optimizer._model import (
    Command,
    KnobChange,
    KnobResult,
    KnobSpec,
    KnobValue,
    Rationale,
    Report,
    ResultReport,
)

Mood = Callable[[KnobValue], "Verdict | None"]


class VirtualClock:
    def __init__(self) -> None:
        self.ms = 0.0

    def now_ms(self) -> float:
        return self.ms


class FakeListeners:
    """Each knob has at most one listener here: its mood. `None` as a verdict: it takes its time."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.moods: dict[str, Mood] = {}
        self.told: list[tuple[str, KnobValue]] = []
        self.waiting: list[tuple[float, Callable[[Verdict], None]]] = []

    def ask(
        self,
        knob: KnobRecord,
        value: KnobValue,
        rationale: Rationale,
        deadline_ms: float,
        done: Callable[[Verdict], None],
    ) -> None:
        self.told.append((knob.spec.id, value))
        mood = self.moods.get(knob.spec.id)
        verdict = ACCEPTED if mood is None else mood(value)
        if verdict is None:
            self.waiting.append((deadline_ms, done))
        else:
            done(verdict)

    def announce(self, knob: KnobRecord, rationale: Rationale) -> None:
        self.told.append((knob.spec.id, knob.value))

    def answer(self, verdict: Verdict = ACCEPTED) -> None:
        waiting, self.waiting = self.waiting, []
        for _, done in waiting:
            done(verdict)

    def expire(self) -> None:
        late = [entry for entry in self.waiting if entry[0] <= self._clock.ms]
        self.waiting = [entry for entry in self.waiting if entry not in late]
        for _, done in late:
            done(Verdict(False, True, "the listener has not answered by the deadline"))


class ClientRig:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.listeners = FakeListeners(self.clock)
        self.reports: list[Report] = []
        self.holdings = Holdings(self.clock, self.listeners, self.reports.append)
        self.knobs: dict[str, Knob[KnobValue]] = {}

    def declare(self, knob_id: str, listened: bool = False, **fields: object) -> KnobRecord:
        spec = replace(KnobSpec(knob_id, "int", 8, 1, 100), **fields)  # type: ignore[arg-type]
        record = self.holdings.table.declare(spec, None)
        self.knobs[knob_id] = Knob(record, self.clock, self.holdings.override, lambda: None)
        if listened:
            self.knobs[knob_id].on_change(lambda value, why: None)
        return record

    def read(self, knob_id: str) -> KnobValue:
        """As the host reads it: by the clock, whatever the books say."""
        return self.knobs[knob_id].value

    def obey(self, command: Command, nonce: str = "n") -> None:
        self.holdings.obey(command, nonce)

    def advance(self, ms: float) -> None:
        until_ms = self.clock.ms + ms
        while True:
            due = [self.holdings.next_expiry_ms, *(deadline for deadline, _ in self.listeners.waiting)]
            next_ms = min(due)
            if next_ms > until_ms:
                break
            self.clock.ms = max(self.clock.ms, next_ms)
            self.holdings.expire()
            self.listeners.expire()
        self.clock.ms = until_ms

    @property
    def results(self) -> list[ResultReport]:
        return [report for report in self.reports if isinstance(report, ResultReport)]

    def answer_to(self, command_id: str) -> tuple[KnobResult, ...] | None:
        """What was said last of a command."""
        return next((report.results for report in reversed(self.results) if report.command_id == command_id), None)


def to(value: KnobValue, knob: str = "batch", expected: KnobValue | None = None) -> KnobChange:
    return KnobChange(knob, value, expected)


def command(revision: int, *changes: KnobChange, epoch: int = 1, **fields: object) -> Command:
    made = Command(f"c/{epoch}/{revision}", epoch, revision, changes, 1_000, 500)
    return replace(made, **fields)  # type: ignore[arg-type]
