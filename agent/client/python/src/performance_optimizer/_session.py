"""The session with the agent, on one thread of its own: dials, says Hello, keeps alive, and dials again with jittered
backoff, for ever.

It never waits for its host and never raises into it; the thread is a daemon and does not keep the process alive. A
message that finds no stream is dropped, as the next Hello tells what is held anyway. What a slow agent does not take is
bounded: beyond that messages are dropped and counted, and the gap in the heartbeat's count makes the agent ask for the
full state.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from ._access import ChannelAccess
from ._address import Address
from ._backoff import AFTER_REFUSAL_MS, backoff_ms
from ._clock import Clock
from ._codec import (
    CommandReceived,
    FullStateWanted,
    Identity,
    Incoming,
    Renewal,
    Revocation,
    Welcome,
    decode_incoming,
    encode_bye,
    encode_heartbeat,
    encode_hello,
    encode_report,
)
from ._domain import is_finite
from ._holdings import Holdings
from ._knob import KnobRecord
from ._model import HoldingReport, KnobMode, KnobResult, KnobSpec, KnobValue, Report, ResultReport
from ._saved_values import SavedValues
from ._stream import (
    ABORTED,
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    PERMISSION_DENIED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    Stream,
    StreamEnded,
)
from ._teller import Teller

log = logging.getLogger("performance_optimizer")

_MAX_QUEUED = 256
_DIAL_WITHIN_S = 5.0
# An agent that accepts a connection and then says nothing is as good as none.
_WELCOME_WITHIN_MS = 10_000
_PING_EVERY_MS = 10_000
_PONG_WITHIN_MS = 5_000
# A burst of declarations is one Hello: it waits until no more come, but not for long.
_SETTLE_MS = 20
_SETTLED_BY_MS = 200
# A component has one session. Whoever loses it to another instance asks again less and less often.
_LONGEST_AFTER_TAKEOVER_MS = 300_000
_PERMANENT = (INVALID_ARGUMENT, FAILED_PRECONDITION, PERMISSION_DENIED, UNAUTHENTICATED)


@dataclass(frozen=True)
class TunerStatus:
    """Whether an agent is there. A process serves either way."""

    connected: bool
    reason: str
    """Why there is no session; empty when there is one."""
    epoch: int = 0


class Session:
    def __init__(
        self,
        identity: Identity,
        addresses: Sequence[Address],
        clock: Clock,
        random: Callable[[], float],
        on_status: Callable[[TunerStatus], object] | None,
        access: Callable[[], ChannelAccess],
        saved: SavedValues | None,
    ) -> None:
        self._identity = identity
        self._addresses = addresses
        self._clock = clock
        self._random = random
        self._on_status = on_status
        self._access = access
        self._saved = saved
        self._saved_leases: list[object] = []
        self._lock = threading.RLock()
        self.teller = Teller(self._post, self._at)
        self.holdings = Holdings(clock, self.teller, self._queue_report)
        self.modes: dict[str, KnobMode] = {}
        self.status = TunerStatus(False, "not connected yet")
        self.dropped = 0
        self.unreadable = 0
        self._closed = False
        self._is_asleep = False
        self._start()

    def _start(self) -> None:
        """What a session begins with, in a new process too."""
        self._jobs: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._ties = itertools.count()
        self._reports: deque[Report] = deque()
        self._stream: Stream | None = None
        self._welcomed = False
        self._refused = False
        self._made = self._failures = self._takeovers = 0
        now_ms = self._clock.now_ms()
        self._dial_at_ms = now_ms + (_SETTLE_MS if self.holdings.specs else _SETTLED_BY_MS)
        self._declared_at_ms: float | None = None
        self._hello_at_ms: float | None = None
        self._beat_at_ms = self._ping_at_ms = self._give_up_at_ms = float("inf")
        self._beat_every_ms = 0.0
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="perfopt-tuner", daemon=True)
        self._thread.start()

    @contextmanager
    def locked(self) -> Iterator[Holdings]:
        """The holdings, for the host's threads. What they caused to be said is sent."""
        self.awaken()
        with self._lock:
            yield self.holdings
        self._wake()

    def declare(self, spec: KnobSpec, read_back: Callable[[], object] | None) -> KnobRecord:
        with self.locked() as holdings:
            record = holdings.table.declare(spec, read_back)
            found = self._saved.take(spec.id) if self._saved is not None else None
            if found is not None:
                holdings.revive(record, *found)
        self._declared()
        return record

    def _declared(self) -> None:
        """The manifest has changed: say Hello again, once no more knobs come."""
        with self._lock:
            now_ms = self._clock.now_ms()
            first_ms = self._declared_at_ms
            if first_ms is None:
                first_ms = self._declared_at_ms = now_ms
            self._hello_at_ms = min(now_ms + _SETTLE_MS, first_ms + _SETTLED_BY_MS)
            # Never dialled yet, or refused with a manifest that has changed now: no reason to wait.
            if self._refused or self._failures == 0:
                self._dial_at_ms = self._hello_at_ms
        self._wake()

    def close(self) -> None:
        """Leaves the agent. Every knob that it had tuned returns to its default; values set by hand stay."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.holdings.release()
        self._wake()

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """This is another process now: it has no session, no threads and nothing that the agent has told it.

        Most children of a process have nothing to do with its knobs (loaders, helpers, whatever is about to exec). A
        component has one session, so a child that does not need one must not take its parent's: it begins one of its
        own when it first reads a knob.
        """
        self._lock = threading.RLock()
        self.teller.forked()
        for inherited in (self._ear, self._mouth):
            inherited.close()
        if self._stream is not None:
            self._stream.close()
        if self._closed:
            return
        self._identity = new_instance(self._identity)
        self.modes = {}
        self.status = TunerStatus(False, "not connected yet")
        # The file is its parent's.
        self._saved = None
        self._stream = None
        self._is_asleep = True
        for knob in self.holdings.table.records:
            knob.sleep()

    def awaken(self) -> None:
        """In a forked child: begins a session of its own. Anywhere else nothing happens."""
        with self._lock:
            if not self._is_asleep:
                return
            self._is_asleep = False
            self._jobs.clear()
            # Listeners that were told a tuned value before the fork hear of the baseline.
            self.holdings.forget()
            for knob in self.holdings.table.records:
                knob.settle(knob.value, None)
            self._start()

    # --- from other threads -------------------------------------------------------------------------------------

    def _post(self, job: Callable[[], None]) -> None:
        self._jobs.append(job)
        self._wake()

    def _at(self, due_ms: float, job: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (due_ms, next(self._ties), job))

    def _queue_report(self, report: Report) -> None:
        # Without a stream nobody hears it: the next Hello tells what is held.
        if self._stream is not None or self._closed:
            self._reports.append(report)
            if len(self._reports) > _MAX_QUEUED:
                self._reports.popleft()
                self._made += 1
                self.dropped += 1

    def _wake(self) -> None:
        # A full pipe wakes as well as one with one byte in it, and one that is gone has nobody to wake.
        with suppress(OSError):
            self._mouth.send(b"\0")

    # --- on the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                if not self._turn():
                    return
            except StreamEnded as end:
                self._lose(end.code, end.reason)
            except Exception as error:
                log.warning("the tuner's client has failed and starts again: %r", error, exc_info=True)
                self._lose(INTERNAL, f"a defect of the client: {error!r}")

    def _turn(self) -> bool:
        self._wait()
        if self._closed:
            self._farewell()
            return False
        now_ms = self._clock.now_ms()
        if self._stream is None and now_ms >= self._dial_at_ms:
            self._dial()
        messages = self._stream.read() if self._stream is not None else []
        with self._lock:
            self._run_due()
            for message in messages:
                self._handle(decode_incoming(message))
            self.holdings.expire()
        self._save()
        self._flush_reports()
        self._keep_alive()
        if self._stream is not None and self._stream.is_over:
            # Raises what the stream has ended with, once all that came before it has been read.
            self._stream.read()
        return True

    def _wait(self) -> None:
        stream = self._stream
        with self._lock:
            due_ms = min(
                self.holdings.next_expiry_ms,
                self._timers[0][0] if self._timers else float("inf"),
                self._dial_at_ms if stream is None else float("inf"),
                self._hello_at_ms if stream is not None and self._hello_at_ms is not None else float("inf"),
                self._beat_at_ms,
                self._ping_at_ms,
                self._give_up_at_ms,
            )
            is_busy = bool(self._jobs or self._reports) or (stream is not None and stream.is_over)
        if stream is not None and stream.has_read_ahead:
            is_busy = True
        timeout_s = 0.0 if is_busy else max(0.0, min(due_ms - self._clock.now_ms(), 60_000)) / 1_000
        # Poll has no limit on the number of a descriptor, and nothing that a fork would share.
        with _Selector() as selector:
            selector.register(self._ear, selectors.EVENT_READ)
            if stream is not None:
                writes = selectors.EVENT_WRITE if stream.wants_to_write else 0
                selector.register(stream, selectors.EVENT_READ | writes)
            ready = selector.select(timeout_s)
        with suppress(BlockingIOError):
            while len(self._ear.recv(4_096)) == 4_096:
                pass
        if stream is not None and any(
            key.fileobj is stream and events & selectors.EVENT_WRITE for key, events in ready
        ):
            stream.write()

    def _run_due(self) -> None:
        for _ in range(len(self._jobs)):
            self._jobs.popleft()()
        now_ms = self._clock.now_ms()
        while self._timers and self._timers[0][0] <= now_ms:
            heapq.heappop(self._timers)[2]()

    def _dial(self) -> None:
        address = self._addresses[self._failures % len(self._addresses)]
        try:
            # Asked at every attempt: what it reads may have been renewed.
            access = self._access()
            context = access.context()
        except OSError as error:
            raise StreamEnded(UNAUTHENTICATED, f"the credentials cannot be read: {error}") from error
        stream = Stream(address, _DIAL_WITHIN_S, context, access.metadata())
        with self._lock:
            self._stream = stream
            self._reports.clear()
            self._made = 0
            now_ms = self._clock.now_ms()
            self._give_up_at_ms = now_ms + _WELCOME_WITHIN_MS
            self._ping_at_ms = now_ms + _PING_EVERY_MS
        self._say_hello()

    def _save(self) -> None:
        if self._saved is None:
            return
        with self._lock:
            leases = self.holdings.leases
            if leases == self._saved_leases:
                return
            self._saved_leases = leases
            values = self.holdings.saved(self._saved.wall_ms())
        self._saved.put(values)

    def _say_hello(self) -> None:
        with self._lock:
            self._hello_at_ms = self._declared_at_ms = None
            held = self.holdings.held
            hello = encode_hello(self._identity, self.holdings.specs, held, self.holdings.last_seen_revision)
        self._send(hello)

    def _handle(self, incoming: Incoming) -> None:
        if isinstance(incoming, CommandReceived):
            self.holdings.obey(incoming.command, incoming.nonce)
        elif isinstance(incoming, Renewal):
            self.holdings.renew(incoming.epoch, incoming.revision, incoming.lease_ttl_ms)
        elif isinstance(incoming, Revocation):
            self.holdings.revoke(incoming.epoch, incoming.revision, incoming.knobs, incoming.reason)
        elif isinstance(incoming, Welcome):
            self._refused = False
            self._welcomed = True
            self._failures = 0
            self.modes = dict(incoming.modes)
            self.holdings.welcome(incoming.epoch)
            self._give_up_at_ms = float("inf")
            self._beat_every_ms = incoming.heartbeat_interval_ms
            self._beat_at_ms = self._clock.now_ms() + self._beat_every_ms
            self._say(TunerStatus(True, "", incoming.epoch))
        elif isinstance(incoming, FullStateWanted):
            self._hello_at_ms = self._clock.now_ms()
        else:
            # Not obeyed and not answered: the agent takes it for lost, as it should.
            self.unreadable += 1

    def _flush_reports(self) -> None:
        while True:
            with self._lock:
                if not self._reports:
                    return
                report = self._reports.popleft()
                specs = self.holdings.specs
            if isinstance(report, ResultReport):
                report = self._read_back(report)
            elif isinstance(report, HoldingReport):
                report = self._read_back_held(report)
            self._send(encode_report(report, specs))

    def _read_back(self, report: ResultReport) -> ResultReport:
        """What the process itself says is in force. The host's code: never called with the lock held."""
        with self._lock:
            knobs = [self.holdings.table.get(result.knob) for result in report.results]
        if not any(knob is not None and knob.read_back is not None for knob in knobs):
            return report
        pairs = zip(report.results, knobs, strict=True)
        results: tuple[KnobResult, ...] = tuple(
            result
            if knob is None or result.effective_value is None
            else replace(result, effective_value=_really_in_force(knob, result.effective_value))
            for result, knob in pairs
        )
        with self._lock:
            self.holdings.amend(report.command_id, results)
        return replace(report, results=results)

    def _read_back_held(self, report: HoldingReport) -> HoldingReport:
        with self._lock:
            knobs = [self.holdings.table.get(each.knob) for each in report.held]
        pairs = zip(report.held, knobs, strict=True)
        return HoldingReport(
            tuple(
                each if knob is None else replace(each, value=_really_in_force(knob, each.value))
                for each, knob in pairs
            )
        )

    def _keep_alive(self) -> None:
        stream, now_ms = self._stream, self._clock.now_ms()
        if stream is None:
            return
        if self._hello_at_ms is not None and now_ms >= self._hello_at_ms:
            self._say_hello()
        if now_ms >= self._give_up_at_ms:
            raise StreamEnded(UNAVAILABLE, "no Welcome in time" if not self._welcomed else "the agent does not answer")
        if now_ms >= self._beat_at_ms:
            self._beat_at_ms = now_ms + self._beat_every_ms
            # Behind a queue it would say nothing that the queue does not say when it gets through.
            if not stream.unsent:
                self._send(encode_heartbeat(self._made + 1))
        if self._welcomed and stream.pongs > 0:
            stream.pongs = 0
            self._give_up_at_ms = float("inf")
        if now_ms >= self._ping_at_ms:
            self._ping_at_ms = now_ms + _PING_EVERY_MS
            stream.ping()
            self._give_up_at_ms = min(self._give_up_at_ms, now_ms + _PONG_WITHIN_MS)

    def _send(self, message: bytes) -> None:
        if self._stream is None:
            return
        self._made += 1
        if len(self._stream.unsent) < _MAX_QUEUED:
            self._stream.send(message)
        else:
            self.dropped += 1

    def _lose(self, code: int, reason: str) -> None:
        with self._lock:
            if self._stream is not None:
                self._stream.close()
            self._stream = None
            self._welcomed = False
            self._reports.clear()
            self._beat_at_ms = self._ping_at_ms = self._give_up_at_ms = float("inf")
            is_permanent = code in _PERMANENT
            if code == ABORTED:
                wait_ms = min(_LONGEST_AFTER_TAKEOVER_MS, AFTER_REFUSAL_MS * 2.0**self._takeovers)
                self._takeovers = min(self._takeovers + 1, 16)
            elif is_permanent:
                wait_ms = AFTER_REFUSAL_MS
            else:
                wait_ms = backoff_ms(self._failures, self._random)
            self._failures += 1
            self._dial_at_ms = self._clock.now_ms() + wait_ms
            if is_permanent and not self._refused:
                log.warning("the agent refuses this process: %s", reason)
            self._refused = is_permanent
            self.holdings.part()
            self._say(TunerStatus(False, reason))

    def _say(self, status: TunerStatus) -> None:
        has_changed = status.connected != self.status.connected
        self.status = status
        on_status = self._on_status
        if has_changed and on_status is not None:
            self.teller.call(lambda: on_status(status))

    def _farewell(self) -> None:
        with suppress(StreamEnded):
            if self._stream is not None:
                self._stream.unsent.clear()
                self._flush_reports()
                self._stream.send(encode_bye("closed by the process"))
                self._stream.end()
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        with self._lock:
            self._say(TunerStatus(False, "closed"))


def _really_in_force(knob: KnobRecord, told: KnobValue) -> KnobValue:
    """What the process says is in force; what it was told, where it cannot say."""
    if knob.read_back is None:
        return told
    try:
        value = knob.read_back()
    except Exception:
        # Reading back is the host's code. It failing says nothing about the value, so the value told stands.
        return told
    if isinstance(told, (bool, str)):
        return value if isinstance(value, (bool, str)) and type(value) is type(told) else told
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and is_finite(value)
    return value if is_number and isinstance(value, (int, float)) else told


def new_instance(identity: Identity) -> Identity:
    """The same component in a process of its own."""
    import time
    import uuid

    return replace(
        identity,
        instance_uid=str(uuid.uuid4()),
        incarnation=int(time.time() * 1_000),
        resource={**identity.resource, "process.pid": str(os.getpid())},
    )


_Selector = selectors.PollSelector if hasattr(selectors, "PollSelector") else selectors.SelectSelector
