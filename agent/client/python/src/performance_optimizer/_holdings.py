"""What a process does on the agent's word: the client's half of the control contract, without I/O and without threads.

Fencing: only commands of the epoch that the session was welcomed with are obeyed, and only above the highest
(epoch, revision) obeyed so far. One command is applied at a time; of those that arrive meanwhile only the latest is
kept. A command_id that was answered is answered again, and not applied again. A knob set by hand moves only on a
command that knows the value set by hand (it names it as `expected_current`).

An agent that lost its state counts epochs from 1 again. While anything is leased from a higher epoch its commands are
refused; once nothing is (the leases see to that), the fence is lowered to the epoch that the session is in.

Applying a command is a generator: it stops where listeners have to be asked, and goes on with what they said.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ._answers import Answers
from ._clock import Clock
from ._domain import why_not_tunable
from ._knob import KnobRecord, Lease, Origin
from ._knob_table import KnobTable, Refusal, TakenBackState
from ._model import (
    Command,
    Fence,
    HeldKnob,
    HoldingReport,
    KnobChange,
    KnobResult,
    KnobSpec,
    KnobState,
    KnobValue,
    OverrideReport,
    Rationale,
    Report,
    ResultReport,
)
from ._saved_values import SavedValue

# A change that needs a drain or a reload may take this many deadlines, once the agent has been told.
_DRAIN_DEADLINES = 10
# What is said of a change that takes its time, before its listeners are asked.
_SLOW_STATES: dict[str, KnobState] = {"drain": "draining", "reload": "applying"}

_SIBLING = Refusal("rolled_back", "another change of the same command was refused, and it is all or none")
_OVERTAKEN = Refusal("superseded", "a hand, a revocation or the end of a lease came first")
_NEWER = Refusal("superseded", "a newer command came first")


class Verdict(NamedTuple):
    """What the listeners of a knob said of a value."""

    ok: bool
    transient: bool = False
    reason: str = ""


ACCEPTED = Verdict(True)


class Listeners(Protocol):
    """Whoever can reach the host's listeners."""

    def ask(
        self,
        knob: KnobRecord,
        value: KnobValue,
        rationale: Rationale,
        deadline_ms: float,
        done: Callable[[Verdict], None],
    ) -> None:
        """Asks whether `value` may be; `done` is called once, later, by the deadline at the latest."""
        ...

    def announce(self, knob: KnobRecord, rationale: Rationale) -> None:
        """Tells what is in force now. Nobody can object, and nobody is waited for."""
        ...


@dataclass(eq=False)
class _Step:
    """What became of one change so far: refused, or agreed to by all listeners."""

    change: KnobChange
    refusal: Refusal | None
    generation: int = -1
    """The knob's when this last was the whole truth; a later one means that something else came."""


@dataclass(eq=False)
class _Pending:
    command: Command
    arrived_ms: float
    nonce: str
    """Of the last time that it was received."""
    lease_until_ms: float
    """Raised by a renewal that comes while it is being applied."""
    origin: Origin = field(init=False)
    overtaken: bool = False
    """Something newer came: what has not begun is not begun any more."""

    def __post_init__(self) -> None:
        self.origin = Origin(self.command.command_id, self.command.epoch, self.command.revision)


class Holdings:
    """Not safe for threads: whoever calls it holds the tuner's lock."""

    def __init__(self, clock: Clock, listeners: Listeners, report: Callable[[Report], None]) -> None:
        self._clock = clock
        self._listeners = listeners
        self._report = report
        self._table = KnobTable(clock, listeners.announce, self._tell_taken_back)
        self._answers = Answers()
        self._session_epoch: int | None = None
        self._fence = Fence(0, 0)
        self._last_seen_revision = 0
        self._current: _Pending | None = None
        self._waiting: _Pending | None = None

    @property
    def table(self) -> KnobTable:
        return self._table

    @property
    def specs(self) -> list[KnobSpec]:
        return self._table.specs

    @property
    def held(self) -> list[HeldKnob]:
        """For a Hello, and for the answer to a renewal."""
        self._table.expire()
        return self._table.held

    @property
    def last_seen_revision(self) -> int:
        """For a Hello."""
        return self._last_seen_revision

    @property
    def next_expiry_ms(self) -> float:
        return self._table.next_expiry_ms

    def expire(self) -> None:
        self._table.expire()

    def welcome(self, epoch: int) -> None:
        """A session began."""
        self._session_epoch = epoch

    def revive(self, knob: KnobRecord, saved: SavedValue, left_ms: float) -> None:
        """A process that was started again goes on where it was, for what is left of the lease."""
        if knob.spec.applies == "restart" or why_not_tunable(knob.spec, saved.value) is not None:
            return
        lease = Lease(self._clock.now_ms() + left_ms, saved.on_expiry)
        self._table.commit(knob, saved.value, saved.origin, lease)
        # What an earlier process obeyed is behind the fence of this one, too.
        self._fence = max(self._fence, saved.origin.fence)

    def saved(self, wall_ms: float) -> dict[str, SavedValue]:
        """What is held under a lease now."""
        now_ms = self._clock.now_ms()
        return {
            knob.spec.id: SavedValue(
                knob.value, knob.origin, knob.lease.on_expiry, wall_ms + knob.lease.expires_at_ms - now_ms
            )
            for knob in self._table.records
            if knob.origin is not None and knob.lease is not None
        }

    @property
    def leases(self) -> list[object]:
        """Differs whenever what is held under a lease does."""
        return [(knob.spec.id, knob.value, knob.origin, knob.lease) for knob in self._table.records if knob.lease]

    def amend(self, command_id: str, results: tuple[KnobResult, ...]) -> None:
        """The process has said what is really in force: a replay is answered with that."""
        self._answers.amend(command_id, results)

    def part(self) -> None:
        """The session is over: nobody stands by what is still being applied."""
        self._session_epoch = None

    def forget(self) -> None:
        """A forked child is another process: what its parent holds on the agent's word it does not hold."""
        self.part()
        self._answers = Answers()
        self._fence = Fence(0, 0)
        self._last_seen_revision = 0
        self._current = self._waiting = None
        report, self._report = self._report, lambda _: None
        self._table.release("this process was forked, and has not been told anything yet")
        self._report = report

    def obey(self, command: Command, nonce: str) -> None:
        """A command arrived."""
        self._table.expire()
        results = self._answers.get(command.command_id)
        if results is not None:
            self._report(ResultReport(nonce, command.command_id, results))
            return
        for open_one in (self._current, self._waiting):
            if open_one is not None and open_one.command.command_id == command.command_id:
                open_one.nonce = nonce
                return
        now_ms = self._clock.now_ms()
        pending = _Pending(command, now_ms, nonce, now_ms + command.lease_ttl_ms)
        stale = self._why_stale(command)
        if stale is not None:
            self._refuse(pending, Refusal("superseded", stale))
            return
        self._last_seen_revision = command.revision
        if not command.validate_only:
            self._fence = command.fence
        if self._current is not None:
            self._current.overtaken = True
            self._drop_waiting(_NEWER.error)
        self._waiting = pending
        self._next()

    def renew(self, epoch: int, revision: int, lease_ttl_ms: float) -> None:
        """The agent still stands by what it commanded up to this revision. It is told what is held, unless a result
        will tell."""
        if epoch != self._session_epoch:
            return
        # What has run out has run out: a reader may have found it so already.
        self._table.expire()
        expires_at_ms = self._clock.now_ms() + lease_ttl_ms
        self._table.renew(Fence(epoch, revision), expires_at_ms)
        for pending in (self._current, self._waiting):
            if pending is not None and pending.command.revision <= revision:
                pending.lease_until_ms = expires_at_ms
        if self._current is None:
            self._report(HoldingReport(tuple(self._table.held)))

    def revoke(self, epoch: int, revision: int, knobs: Iterable[str], reason: str) -> None:
        """The agent takes values back."""
        if epoch != self._session_epoch:
            return
        up_to = Fence(epoch, revision)
        self._fence = max(self._fence, up_to)
        if self._current is not None and self._current.command.fence <= up_to:
            self._current.overtaken = True
        if self._waiting is not None and self._waiting.command.fence <= up_to:
            self._drop_waiting(reason)
        self._table.revoke(up_to, knobs, reason)

    def override(self, knob: KnobRecord, value: KnobValue) -> None:
        """The host program has set a value itself, and its listeners have let it in."""
        self._table.override(knob, value)
        self._report(OverrideReport(knob.spec.id, knob.value))

    def release(self) -> None:
        """Gives everything up that is held on the agent's word, as if every lease had run out. For a client that
        closes."""
        self.part()
        self._table.release("the client was closed")

    def _why_stale(self, command: Command) -> str | None:
        if command.epoch != self._session_epoch:
            ours = "none yet" if self._session_epoch is None else self._session_epoch
            return f"stale: epoch {command.epoch} is not this session's ({ours})"
        if command.epoch < self._fence.epoch and self._current is None and not self._table.leased:
            self._fence = Fence(command.epoch, 0)
        if command.fence > self._fence:
            return None
        return (
            f"stale: ({command.epoch}, {command.revision}) is not above ({self._fence.epoch}, {self._fence.revision})"
        )

    def _next(self) -> None:
        if self._current is not None or self._waiting is None:
            return
        self._current, self._waiting = self._waiting, None
        self._advance(self._apply(self._current), None)

    def _advance(self, applying: Generator[_Question, Verdict, None], verdict: Verdict | None) -> None:
        try:
            question = next(applying) if verdict is None else applying.send(verdict)
        except StopIteration:
            self._current = None
            self._next()
            return
        owner = self._current
        answered = False

        def done(said: Verdict) -> None:
            # Not of a command that a fork has made forgotten.
            nonlocal answered
            if not answered and self._current is owner:
                answered = True
                self._advance(applying, said)

        self._listeners.ask(question.knob, question.value, question.rationale, question.deadline_ms, done)

    def _apply(self, pending: _Pending) -> Generator[_Question, Verdict, None]:
        command = pending.command
        is_all = command.atomicity == "all"
        steps = [_Step(change, self._table.why_refused(change)) for change in command.changes]

        def is_blocked() -> bool:
            return is_all and any(step.refusal for step in steps)

        if not command.validate_only:
            for step in steps:
                if is_blocked():
                    break
                if step.refusal:
                    continue
                yield from self._ask(pending, step)
                # All or none are put in force together, when the last has agreed.
                if not is_all and not step.refusal:
                    self._commit(pending, step)
            if is_all:
                self._commit_all(pending, steps)
        if is_blocked():
            for step in steps:
                step.refusal = step.refusal or _SIBLING
        # Read last of all: a sibling that took its time must not let a value be reported that is gone by now.
        self._answer(pending, [self._result_of(pending, step) for step in steps])

    def _ask(self, pending: _Pending, step: _Step) -> Generator[_Question, Verdict, None]:
        """Asks the knob's listeners, unless something newer has come; leaves in the step what they said."""
        command, change = pending.command, step.change
        # Others may have changed what this rests on while an earlier knob was asked.
        step.refusal = _NEWER if pending.overtaken else self._table.why_refused(change)
        knob = self._table.get(change.knob)
        if step.refusal or knob is None:
            return
        step.generation = knob.generation
        if not knob.listeners:
            return
        slow = _SLOW_STATES.get(knob.spec.applies)
        if slow is not None:
            result = self._table.result(command.revision, change.knob, slow)
            self._report(ResultReport(pending.nonce, command.command_id, (result,)))
        deadline_ms = pending.arrived_ms + command.apply_deadline_ms * (1 if slow is None else _DRAIN_DEADLINES)
        verdict = yield _Question(knob, change.value, command.rationale, deadline_ms)
        self._table.expire()
        if not verdict.ok:
            step.refusal = Refusal("rejected_transient" if verdict.transient else "rejected_permanent", verdict.reason)
        elif knob.generation != step.generation:
            step.refusal = _OVERTAKEN
            self._listeners.announce(knob, Rationale("client", _OVERTAKEN.error))

    def _commit_all(self, pending: _Pending, steps: list[_Step]) -> None:
        agreed = [step for step in steps if step.generation >= 0 and not step.refusal]
        for step in agreed:
            knob = self._table.get(step.change.knob)
            if knob is None or knob.generation != step.generation:
                step.refusal = _OVERTAKEN
        if not any(step.refusal for step in steps):
            for step in agreed:
                self._commit(pending, step)
            return
        # Their listeners have let the new value in: they hear what is in force after all.
        for step in agreed:
            knob = self._table.get(step.change.knob)
            if knob is not None:
                self._listeners.announce(knob, Rationale("client", _SIBLING.error))

    def _commit(self, pending: _Pending, step: _Step) -> None:
        knob = self._table.get(step.change.knob)
        if knob is None:
            return
        command = pending.command
        # While the agent is there the lease begins now: draining may have taken longer than a lease lasts.
        is_there = self._session_epoch == command.epoch
        from_now_ms = self._clock.now_ms() + command.lease_ttl_ms if is_there else 0.0
        lease = Lease(max(pending.lease_until_ms, from_now_ms), command.on_expiry)
        self._table.commit(knob, step.change.value, pending.origin, lease)
        step.generation = knob.generation

    def _result_of(self, pending: _Pending, step: _Step) -> KnobResult:
        command = pending.command
        knob = self._table.get(step.change.knob)
        is_gone = (
            not step.refusal and not command.validate_only and (knob is None or knob.generation != step.generation)
        )
        final = _OVERTAKEN if is_gone else step.refusal
        if final is None:
            return self._table.result(command.revision, step.change.knob, "applied")
        return self._table.result(command.revision, step.change.knob, final.state, final.error)

    def _refuse(self, pending: _Pending, refusal: Refusal) -> None:
        command = pending.command
        self._answer(
            pending,
            [
                self._table.result(command.revision, change.knob, refusal.state, refusal.error)
                for change in command.changes
            ],
        )

    def _drop_waiting(self, reason: str) -> None:
        dropped, self._waiting = self._waiting, None
        if dropped is not None:
            self._refuse(dropped, Refusal("superseded", reason))

    def _answer(self, pending: _Pending, results: list[KnobResult]) -> None:
        # Of an all-or-none command, the refusal that spoilt it is what a reader should meet first.
        ordered = tuple(sorted(results, key=lambda result: result.state == "rolled_back"))
        self._answers.set(pending.command.command_id, ordered)
        self._report(ResultReport(pending.nonce, pending.command.command_id, ordered))

    def _tell_taken_back(self, origin: Origin, knobs: list[str], state: TakenBackState, reason: str) -> None:
        results = tuple(self._table.result(origin.revision, knob, state, reason) for knob in knobs)
        self._answers.amend(origin.command_id, results)
        # A hand is reported as such; the agent needs no second word for it.
        if state != "superseded":
            self._report(ResultReport("", origin.command_id, results))


class _Question(NamedTuple):
    knob: KnobRecord
    value: KnobValue
    rationale: Rationale
    deadline_ms: float
