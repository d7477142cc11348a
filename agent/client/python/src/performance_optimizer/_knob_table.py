"""The knobs, what each holds, on whose word, and until when.

A value whose lease is not renewed in time is given up without being asked: to the baseline, unless its command said
otherwise. Readers find that out by themselves (`Knob.value`); here the books follow, and listeners are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal, NamedTuple, Protocol

from ._clock import Clock
from ._domain import normalised, same_value, show, why_not_tunable
from ._knob import NEVER, KnobRecord, LastGood, Lease, Origin, new_record
from ._model import Fence, HeldKnob, KnobChange, KnobResult, KnobSpec, KnobState, KnobValue, Rationale

TakenBackState = Literal["expired", "rolled_back", "superseded"]


class Refusal(NamedTuple):
    state: Literal["rejected_permanent", "rejected_transient", "superseded", "rolled_back"]
    error: str


class TakenBack(Protocol):
    """Values that commands had set are in force no more (or, on hold, under no lease any more)."""

    def __call__(self, origin: Origin, knobs: list[str], state: TakenBackState, reason: str) -> None: ...


Announce = Callable[[KnobRecord, Rationale], None]


class KnobTable:
    def __init__(self, clock: Clock, announce: Announce, taken_back: TakenBack) -> None:
        self._clock = clock
        self._announce = announce
        self._taken_back = taken_back
        self._knobs: dict[str, KnobRecord] = {}

    def declare(self, spec: KnobSpec, read_back: Callable[[], object] | None) -> KnobRecord:
        if spec.id in self._knobs:
            raise ValueError(f"knob {show(spec.id)} is declared already")
        record = self._knobs[spec.id] = new_record(spec, read_back)
        return record

    def get(self, knob_id: str) -> KnobRecord | None:
        return self._knobs.get(knob_id)

    @property
    def records(self) -> Iterable[KnobRecord]:
        return self._knobs.values()

    @property
    def specs(self) -> list[KnobSpec]:
        return [knob.spec for knob in self._knobs.values()]

    @property
    def held(self) -> list[HeldKnob]:
        """What is held that is not simply the baseline."""
        return [
            HeldKnob(
                knob.spec.id,
                knob.value,
                knob.origin.epoch if knob.origin else 0,
                knob.origin.revision if knob.origin else 0,
                knob.manual,
            )
            for knob in self._knobs.values()
            if knob.origin is not None or knob.manual
        ]

    @property
    def leased(self) -> bool:
        return any(knob.lease is not None for knob in self._knobs.values())

    @property
    def next_expiry_ms(self) -> float:
        return min((knob.lease.expires_at_ms for knob in self._knobs.values() if knob.lease), default=NEVER)

    def why_refused(self, change: KnobChange) -> Refusal | None:
        """What speaks against a change before anyone is asked."""
        knob = self._knobs.get(change.knob)
        if knob is None:
            return Refusal("rejected_permanent", f"there is no knob {show(change.knob)}")
        if knob.spec.applies == "restart":
            return Refusal("rejected_permanent", "only a restart can change this knob")
        problem = why_not_tunable(knob.spec, change.value)
        if problem is not None:
            return Refusal("rejected_permanent", problem)
        expected = change.expected_current
        if knob.manual and expected is None:
            return Refusal("rejected_transient", f"was set by hand to {show(knob.value)}")
        if expected is not None and not same_value(expected, knob.value):
            return Refusal("rejected_transient", f"holds {show(knob.value)}, not {show(expected)} as expected")
        return None

    def commit(self, knob: KnobRecord, value: KnobValue, origin: Origin, lease: Lease) -> None:
        """Puts a command's value in force."""
        was_good = knob.lease is not None and knob.lease.renewed and knob.origin is not None
        knob.last_good = LastGood(knob.value, knob.origin) if was_good and knob.origin else None
        knob.generation += 1
        knob.manual = False
        knob.origin = origin
        knob.settle(normalised(knob.spec, value), lease)

    def renew(self, up_to: Fence, expires_at_ms: float) -> None:
        """Gives another lease to the values of an epoch, up to a revision."""
        for knob in self._knobs.values():
            if knob.lease is None or knob.origin is None:
                continue
            if knob.origin.epoch == up_to.epoch and knob.origin.revision <= up_to.revision:
                knob.settle(knob.value, replace(knob.lease, expires_at_ms=expires_at_ms, renewed=True))

    def revoke(self, up_to: Fence, ids: Iterable[str], reason: str) -> None:
        """Returns knobs to their baselines; values newer than `up_to`, and those set by hand, stay."""
        gone: list[KnobRecord] = []
        for knob_id in dict.fromkeys(ids):
            knob = self._knobs.get(knob_id)
            if knob is None or (knob.origin is not None and knob.origin.fence > up_to):
                continue
            # Also where no command's value is held: one that is being applied right now must not win over this.
            knob.generation += 1
            if knob.origin is not None:
                gone.append(knob)
        self._give_up(gone, "rolled_back", reason)

    def override(self, knob: KnobRecord, value: KnobValue) -> None:
        """The host has set a value itself, and its listeners have let it in."""
        origin = knob.origin
        _fall_back(knob, normalised(knob.spec, value), None)
        knob.manual = True
        if origin is not None:
            self._taken_back(origin, [knob.spec.id], "superseded", "was set by hand")

    def release(self, reason: str) -> None:
        """Gives up everything that is held on an agent's word."""
        self._give_up([knob for knob in self._knobs.values() if knob.origin is not None], "expired", reason)

    def expire(self) -> None:
        """Lets the books follow what readers find already: leases that have run out."""
        now_ms = self._clock.now_ms()
        due = [knob for knob in self._knobs.values() if knob.lease is not None and knob.lease.expires_at_ms <= now_ms]
        if not due:
            return
        held = [knob for knob in due if knob.lease is not None and knob.lease.on_expiry == "hold"]
        for knob in held:
            knob.settle(knob.value, None)
        for origin, ids in _by_origin(held):
            self._taken_back(origin, ids, "expired", "the lease ran out; held")
        gone = [knob for knob in due if knob not in held]
        self._give_up(gone, "expired", "the lease ran out", to_last_good=True)

    def result(self, revision: int, knob_id: str, state: KnobState, error: str | None = None) -> KnobResult:
        knob = self._knobs.get(knob_id)
        return KnobResult(
            knob_id,
            state,
            None if knob is None else knob.value,
            revision,
            knob.origin.revision if knob is not None and knob.origin is not None else 0,
            error,
        )

    def _give_up(
        self,
        knobs: list[KnobRecord],
        state: Literal["expired", "rolled_back"],
        reason: str,
        to_last_good: bool = False,
    ) -> None:
        groups = _by_origin(knobs)
        # All values first: whatever listeners do, no read finds a value that is given up.
        for knob in knobs:
            is_last_good = to_last_good and knob.lease is not None and knob.lease.on_expiry == "last_good"
            good = knob.last_good if is_last_good else None
            if good is not None:
                _fall_back(knob, good.value, good.origin)
            else:
                _fall_back(knob, normalised(knob.spec, knob.spec.baseline), None)
        for knob in knobs:
            self._announce(knob, Rationale("lease", reason))
        for origin, ids in groups:
            self._taken_back(origin, ids, state, reason)


def _by_origin(knobs: Iterable[KnobRecord]) -> list[tuple[Origin, list[str]]]:
    """Ids of knobs, by the command that had set them."""
    groups: dict[Origin, list[str]] = {}
    for knob in knobs:
        if knob.origin is not None:
            groups.setdefault(knob.origin, []).append(knob.spec.id)
    return list(groups.items())


def _fall_back(knob: KnobRecord, value: KnobValue, origin: Origin | None) -> None:
    knob.generation += 1
    knob.origin = origin
    knob.last_good = None
    knob.settle(value, None)
