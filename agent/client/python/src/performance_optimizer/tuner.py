"""Declares knobs, and holds what the agent says of them for as long as it says so."""

from __future__ import annotations

import builtins
import os
import random as chance
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, overload

from ._access import ChannelAccess, access_from
from ._address import addresses
from ._clock import Clock, SystemClock
from ._codec import Identity
from ._domain import show, why_not_allowed, why_not_sound
from ._fork import survive_forks
from ._knob import Knob, KnobRecord
from ._model import TIERS, ApplyClass, Condition, KnobMode, KnobRole, KnobSpec, KnobValue, Rationale, Scale, Tier
from ._monitoring import Allocation, Monitored, Monitoring, MonitoringTotals, Request, Result
from ._saved_values import SavedValues
from ._session import Session, TunerStatus

if TYPE_CHECKING:
    from typing_extensions import Unpack

Word = TypeVar("Word", bound=str)


class KnobOptions(TypedDict, total=False):
    """What can be said of any knob."""

    description: str
    role: KnobRole
    applies: ApplyClass
    """What applying a value costs: nothing (`hot`, the default), a drain, a reload, or a restart."""
    settle_ms: float
    """Time after applying before the metrics show the new value alone."""
    ceiling_at_boot: bool
    """The default is a ceiling: the tuner never goes above it."""
    conditional_on: Condition
    """The knob means something only while another has one of these values."""
    blast_radius: str
    """What else a bad value would harm, for the humans who approve it."""
    boot_flag: str
    """The flag that sets it at the process's start (`--max-model-len`), for recommendations that say what to change."""
    boot_variable: str
    """The environment variable that does."""


def connect_tuner(
    *,
    component: str,
    tier: Tier,
    address: str | None = None,
    instance_uid: str | None = None,
    resource: Mapping[str, str] | None = None,
    on_status: Callable[[TunerStatus], object] | None = None,
    access: ChannelAccess | None = None,
    snapshot_path: str | None = None,
    clock: Clock | None = None,
    random: Callable[[], float] = chance.random,
) -> Tuner:
    """Lets an agent tune this process. Returns at once, whether an agent is there or not, and keeps looking for one in
    the background without ever keeping the process alive for it.

    `component` is the same as `service.name` in the process's telemetry; `tier` how much harm its owner tolerates, from
    `critical` (none) to `research`. `address` is `unix:/path` or `host:port`; otherwise what PERFOPT_CONTROL_ADDRESS
    says; otherwise the user's default socket and, where nobody answers there, 127.0.0.1:4319.
    `access` is a token, or PEM files for mutual TLS, where the agent asks for more than reaching its address; otherwise
    what PERFOPT_CONTROL_TOKEN (or _TOKEN_FILE), PERFOPT_CONTROL_CA, _CERT and _KEY say. Files are read at every
    attempt. `snapshot_path` is a file of this component alone, where tuned values are kept over a restart: a value
    whose lease has not run out is in force again as soon as its knob is declared, until the lease ends or is renewed.
    """
    if component.strip() == "":
        raise ValueError("connect_tuner: component must not be empty")
    if tier not in TIERS:
        raise ValueError(f"connect_tuner: tier {show(tier)} is not one of {', '.join(TIERS)}")
    identity = Identity(
        component=component,
        tier=tier,
        instance_uid=instance_uid or str(uuid.uuid4()),
        incarnation=int(time.time() * 1_000),
        resource={
            "service.name": component,
            "process.pid": str(os.getpid()),
            "host.name": socket.gethostname(),
            **(resource or {}),
        },
    )
    clock = clock or SystemClock()
    where = addresses(address, os.environ)
    get_in = (lambda: access) if access is not None else (lambda: access_from(os.environ))
    saved = SavedValues(snapshot_path, component) if snapshot_path is not None else None
    return Tuner(Session(identity, where, clock, random, on_status, get_in, saved), clock)


class Tuner:
    """Made by `connect_tuner`. Safe for threads, for asyncio, and across `os.fork`: a child is a process of its own, at
    its defaults, with a session of its own."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._monitoring = Monitoring(clock)
        survive_forks(self)

    def int(
        self,
        id: str,
        *,
        default: builtins.int,
        min: builtins.int,
        max: builtins.int,
        step: builtins.int | None = None,
        scale: Scale = "linear",
        unit: str = "",
        read_back: Callable[[], object] | None = None,
        **options: Unpack[KnobOptions],
    ) -> Knob[builtins.int]:
        """Whole numbers from `min` to `max`. `read_back` says what is really in force, after each change."""
        spec = KnobSpec(id, "int", default, min, max, step, scale, unit=unit, **options)
        return self._declare(spec, read_back)

    def float(
        self,
        id: str,
        *,
        default: builtins.float,
        min: builtins.float,
        max: builtins.float,
        step: builtins.float | None = None,
        scale: Scale = "linear",
        unit: str = "",
        read_back: Callable[[], object] | None = None,
        **options: Unpack[KnobOptions],
    ) -> Knob[builtins.float]:
        """Real numbers from `min` to `max`."""
        spec = KnobSpec(id, "double", default, min, max, step, scale, unit=unit, **options)
        return self._declare(spec, read_back)

    def duration(
        self,
        id: str,
        *,
        default: builtins.float,
        min: builtins.float,
        max: builtins.float,
        step: builtins.float | None = None,
        scale: Scale = "linear",
        read_back: Callable[[], object] | None = None,
        **options: Unpack[KnobOptions],
    ) -> Knob[builtins.float]:
        """Durations from `min` to `max`, in seconds."""
        spec = KnobSpec(id, "duration", default, min, max, step, scale, unit="s", **options)
        return self._declare(spec, read_back)

    def bool(
        self,
        id: str,
        *,
        default: builtins.bool,
        read_back: Callable[[], object] | None = None,
        **options: Unpack[KnobOptions],
    ) -> Knob[builtins.bool]:
        return self._declare(KnobSpec(id, "bool", default, **options), read_back)

    def enum(
        self,
        id: str,
        *,
        default: Word,
        values: Sequence[Word],
        read_back: Callable[[], object] | None = None,
        **options: Unpack[KnobOptions],
    ) -> Knob[Word]:
        """One of `values`."""
        return self._declare(KnobSpec(id, "enum", default, values=tuple(values), **options), read_back)

    @overload
    def execute_with_monitoring(  # type: ignore[overload-overlap]
        self, request: Request, allocation: Allocation, execute: Callable[[Request, Allocation], Awaitable[Result]]
    ) -> Awaitable[Monitored[Result, Allocation]]: ...

    @overload
    def execute_with_monitoring(
        self, request: Request, allocation: Allocation, execute: Callable[[Request, Allocation], Result]
    ) -> Monitored[Result, Allocation]: ...

    def execute_with_monitoring(
        self, request: Request, allocation: Allocation, execute: Callable[[Request, Allocation], Any]
    ) -> Any:
        """Runs one request and measures it: `execution_time_ms`, and how many were under way. What `execute` raises is
        raised on. Where `execute` is async (a coroutine function, or anything that returns an awaitable), so is
        this."""
        return self._monitoring.run(request, allocation, execute)

    @property
    def monitoring(self) -> MonitoringTotals:
        """Sums over everything that `execute_with_monitoring` ran."""
        return self._monitoring.totals

    @property
    def status(self) -> TunerStatus:
        return self._session.status

    @property
    def modes(self) -> Mapping[str, KnobMode]:
        """What the agent may do with each knob, as far as it has said."""
        return MappingProxyType(self._session.modes)

    @property
    def dropped_messages(self) -> builtins.int:
        """Messages dropped because the agent was too slow to take them."""
        return self._session.dropped

    @property
    def unreadable_messages(self) -> builtins.int:
        """Messages from the agent that could not be understood, and so were not obeyed."""
        return self._session.unreadable

    def resume(self) -> None:
        """In a forked child: begins its session now, and not when it first reads a knob. For a child that only
        listens."""
        self._session.awaken()

    def close(self) -> None:
        """Leaves the agent. Every knob that it had tuned returns to its default; values set by hand stay."""
        self._session.close()

    def __enter__(self) -> Tuner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def before_fork(self) -> None:
        self._session.before_fork()

    def after_fork_in_parent(self) -> None:
        self._session.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        self._monitoring.forget()
        self._session.after_fork_in_child()

    def _declare(self, spec: KnobSpec, read_back: Callable[[], object] | None) -> Knob[Any]:
        # A declaration that makes no sense is a mistake in the program, said where it is made.
        flaw = why_not_sound(spec)
        if flaw is not None:
            raise ValueError(f"knob {show(spec.id)}: {flaw[0]} {flaw[1]}")
        record = self._session.declare(spec, read_back)
        return Knob(record, self._clock, self._override, self._session.awaken)

    def _override(self, knob: KnobRecord, value: KnobValue) -> None:
        problem = why_not_allowed(knob.spec, value)
        if problem is not None:
            raise ValueError(f"knob {show(knob.spec.id)}: {problem}")
        if knob.is_telling:
            raise RuntimeError(f"knob {show(knob.spec.id)}: set() from inside its own on_change listener")
        generation = knob.generation
        self._session.teller.demand(knob, value, Rationale("manual", "set by hand in the process"))
        with self._session.locked() as holdings:
            has_moved = knob.generation != generation
            holdings.override(knob, value)
            if has_moved:
                # A command came in between; its listeners hear that the hand has won.
                self._session.teller.announce(knob, Rationale("manual", "set by hand in the process"))
