"""Calls the host's listeners: on the event loop where they were registered, or else on one thread kept for that.

Whatever a listener does (block for ever, raise, never come back) costs its own command a transient rejection and
nothing else: the tuner's own thread and its lock are never inside a listener.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from ._holdings import ACCEPTED, Verdict
from ._knob import KnobRecord, Listener, TransientRejection
from ._model import KnobValue, Rationale

_STILL = Rationale("client", "the value in force did not change after all")
_LATE = Verdict(False, True, "the listener has not answered by the deadline")
_Job = Callable[[], None]


class Teller:
    """`post` runs a function on the tuner's own thread, with its lock held; `at` does so at a moment of its clock."""

    def __init__(self, post: Callable[[_Job], None], at: Callable[[float, _Job], None]) -> None:
        self._post = post
        self._at = at
        self._forget()

    def _forget(self) -> None:
        self._ready = threading.Condition(threading.Lock())
        self._asks: deque[_Job] = deque()
        # What is to be told, by whom: only the latest, so that a listener that hangs costs no memory.
        self._news: dict[Listener, _Job] = {}
        self._calls: deque[_Job] = deque(maxlen=64)
        self._thread: threading.Thread | None = None

    def forked(self) -> None:
        """In a child: the parent's thread is not here."""
        self._forget()

    def ask(
        self,
        knob: KnobRecord,
        value: KnobValue,
        rationale: Rationale,
        deadline_ms: float,
        done: Callable[[Verdict], None],
    ) -> None:
        """Asks the listeners, one after the other. Those that had agreed before another refused are told the value in
        force again. One that has not answered by the deadline has refused for now; should it agree later, it is told
        the value in force then."""
        listeners = list(knob.listeners)
        agreed: list[Listener] = []
        is_over = False

        def finish(verdict: Verdict) -> None:
            nonlocal is_over
            is_over = True
            if not verdict.ok:
                for other in agreed:
                    self._remind(knob, other, _STILL)
            done(verdict)

        def heard(listener: Listener, verdict: Verdict) -> None:
            if is_over:
                if verdict.ok:
                    self._remind(knob, listener, _STILL)
            elif not verdict.ok:
                finish(verdict)
            else:
                agreed.append(listener)
                ask_next()

        def late() -> None:
            if not is_over:
                finish(_LATE)

        def ask_next() -> None:
            if len(agreed) == len(listeners):
                finish(ACCEPTED)
                return
            listener = listeners[len(agreed)]
            self._dispatch(
                listener,
                lambda: not is_over,
                lambda: _called(knob, listener, value, rationale),
                lambda verdict: self._post(lambda: heard(listener, verdict)),
            )

        self._at(deadline_ms, late)
        ask_next()

    def announce(self, knob: KnobRecord, rationale: Rationale) -> None:
        """Tells the listeners what is in force now. None of them can object, and none is waited for."""
        for listener in knob.listeners:
            self._remind(knob, listener, rationale)

    def demand(self, knob: KnobRecord, value: KnobValue, rationale: Rationale) -> None:
        """On the host's own thread: the first error that a listener raises is raised, once those before it know the old
        value again. What is asynchronous is told and not waited for."""
        here = _running_loop()
        told: list[Listener] = []
        for listener in list(knob.listeners):
            try:
                if listener.loop is None or listener.loop is here:
                    self._quiet(listener, _called(knob, listener, value, rationale))
                else:
                    self._tell(knob, listener, lambda: value, rationale)
            except Exception:
                for other in told:
                    self._remind(knob, other, _STILL)
                raise
            told.append(listener)

    def call(self, function: Callable[[], object]) -> None:
        """Calls what is of the host's and no listener; what it raises is its own affair."""
        with self._ready:
            self._calls.append(lambda: _swallow(function))
            self._wake()

    def _remind(self, knob: KnobRecord, listener: Listener, rationale: Rationale) -> None:
        self._tell(knob, listener, lambda: knob.value, rationale)

    def _tell(self, knob: KnobRecord, listener: Listener, value: Callable[[], KnobValue], rationale: Rationale) -> None:
        def tell() -> None:
            # The knob has its value already; a listener that cannot follow harms nobody.
            with suppress(Exception):
                self._quiet(listener, _called(knob, listener, value(), rationale))

        if listener.loop is not None:
            _on_loop(listener.loop, tell)
            return
        with self._ready:
            self._news.pop(listener, None)
            self._news[listener] = tell
            self._wake()

    def _dispatch(
        self,
        listener: Listener,
        is_wanted: Callable[[], bool],
        call: Callable[[], object],
        done: Callable[[Verdict], None],
    ) -> None:
        def on_thread() -> None:
            if not is_wanted():
                return
            try:
                answer = call()
                if inspect.isawaitable(answer):
                    asyncio.run(_awaited(answer))
            except Exception as error:
                done(_refusal(error))
            else:
                done(ACCEPTED)

        def on_loop() -> None:
            if not is_wanted():
                return
            try:
                answer = call()
            except Exception as error:
                done(_refusal(error))
                return
            if inspect.isawaitable(answer):
                task = _keep(asyncio.ensure_future(answer))
                task.add_done_callback(lambda settled: done(_settled(settled)))
            else:
                done(ACCEPTED)

        if listener.loop is None:
            with self._ready:
                self._asks.append(on_thread)
                # One command is in flight: what else waits has missed its deadline, and only the last few are looked
                # at.
                while len(self._asks) > 64:
                    self._asks.popleft()
                self._wake()
        elif not _on_loop(listener.loop, on_loop):
            done(Verdict(False, True, "the event loop of the listener is closed"))

    def _quiet(self, listener: Listener, answer: object) -> None:
        """Sees to an awaitable that nobody waits for: its error must not reach the host."""
        if not inspect.isawaitable(answer):
            return
        if _running_loop() is not None:
            # Not wrapped: a loop that closes cancels it before it has begun, which must not leave a coroutine behind.
            task = _keep(asyncio.ensure_future(answer))
            task.add_done_callback(lambda settled: settled.cancelled() or settled.exception())
        elif threading.current_thread() is self._thread:
            asyncio.run(_hushed(answer))
        else:
            with self._ready:
                self._calls.append(lambda: asyncio.run(_hushed(answer)))
                self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, args=(self._ready,), name="perfopt-listeners", daemon=True
            )
            self._thread.start()
        self._ready.notify()

    def _run(self, ready: threading.Condition) -> None:
        while True:
            with ready:
                while not (self._asks or self._news or self._calls):
                    ready.wait()
                if self._news:
                    job = self._news.pop(next(iter(self._news)))
                elif self._asks:
                    job = self._asks.popleft()
                else:
                    job = self._calls.popleft()
            _swallow(job)


def _called(knob: KnobRecord, listener: Listener, value: KnobValue, rationale: Rationale) -> object:
    thread = threading.get_ident()
    is_outermost = thread not in knob.telling
    knob.telling.add(thread)
    try:
        return listener.function(value, rationale)
    finally:
        if is_outermost:
            knob.telling.discard(thread)


def _on_loop(loop: asyncio.AbstractEventLoop, job: _Job) -> bool:
    try:
        loop.call_soon_threadsafe(job)
    except RuntimeError:  # It is closed.
        return False
    return True


async def _awaited(answer: Any) -> None:
    await answer


def _hushed(answer: Any) -> Coroutine[Any, Any, None]:
    async def wait() -> None:
        # Nobody waits for it, and nobody can object any more.
        with suppress(Exception):
            await answer

    return wait()


_tasks: set[asyncio.Future[Any]] = set()


def _keep(task: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """An event loop does not hold on to its tasks; somebody has to."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


def _settled(task: asyncio.Future[Any]) -> Verdict:
    if task.cancelled():
        return Verdict(False, True, "the listener was cancelled")
    error = task.exception()
    return ACCEPTED if error is None else _refusal(error)


def _refusal(error: BaseException) -> Verdict:
    return Verdict(False, isinstance(error, TransientRejection), str(error) or type(error).__name__)


def _swallow(function: Callable[[], object]) -> None:
    # The host's code, called from our thread, which must live on.
    with suppress(Exception):
        function()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
