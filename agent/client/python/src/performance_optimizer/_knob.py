"""A knob as its host sees it, and what the client keeps of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from ._model import Fence, KnobSpec, KnobValue, OnExpiry, Rationale

if TYPE_CHECKING:
    import asyncio

    from ._clock import Clock

T = TypeVar("T", bound=KnobValue)
NEVER = float("inf")
ASLEEP = float("-inf")


class TransientRejection(Exception):
    """Raised by a listener to say: not now, try again later. Any other exception says: never again."""


@dataclass(frozen=True, eq=False)
class Origin:
    """On whose word a knob holds its value. One object for all values of a command: by it they are reported
    together."""

    command_id: str
    epoch: int
    revision: int

    @property
    def fence(self) -> Fence:
        return Fence(self.epoch, self.revision)


class Cell(NamedTuple):
    """What a reader reads. Replaced whole, so that it needs no lock."""

    value: Any
    """Of the knob's own type: only values of its domain get in."""
    expires_at_ms: float
    """`NEVER` where there is no lease, or where the value outlives it; `ASLEEP` in a forked child that has not read
    yet."""
    fallback: Any


@dataclass(frozen=True)
class Lease:
    expires_at_ms: float
    on_expiry: OnExpiry
    renewed: bool = False
    """The agent stood by the value at least once."""


@dataclass(frozen=True)
class LastGood:
    value: KnobValue
    origin: Origin


@dataclass(eq=False)
class Listener:
    """A host's function, and where it wants to be called."""

    function: Callable[[Any, Rationale], object]
    loop: asyncio.AbstractEventLoop | None
    """The event loop on which it was registered; `None`: the tuner's own thread."""


@dataclass(eq=False)
class KnobRecord:
    """What the client keeps of one knob. `Holdings` alone changes it."""

    spec: KnobSpec
    read_back: Callable[[], object] | None
    cell: Cell
    listeners: list[Listener] = field(default_factory=list)
    origin: Origin | None = None
    """Absent: the value is the baseline, or was set by hand."""
    lease: Lease | None = None
    last_good: LastGood | None = None
    """The value held before this one, if its lease had been renewed."""
    manual: bool = False
    generation: int = 0
    """Rises with every change of the value: tells a listener's late answer that things have moved on."""
    telling: set[int] = field(default_factory=set)
    """Threads that are inside a listener of this knob right now."""

    @property
    def value(self) -> KnobValue:
        """As it stands in the books; a reader uses `Knob.value`, which also knows the time."""
        value: KnobValue = self.cell.value
        return value

    @property
    def is_telling(self) -> bool:
        """This thread is inside one of its listeners."""
        return threading.get_ident() in self.telling

    def sleep(self) -> None:
        """Lets the next read be noticed."""
        self.cell = Cell(self.cell.value, ASLEEP, self.cell.value)

    def settle(self, value: KnobValue, lease: Lease | None) -> None:
        """Puts the value in force, for as long as the lease says."""
        self.lease = lease
        if lease is None or lease.on_expiry == "hold":
            self.cell = Cell(value, NEVER, value)
            return
        good = self.last_good if lease.on_expiry == "last_good" else None
        self.cell = Cell(value, lease.expires_at_ms, good.value if good else self.spec.baseline)


class Knob(Generic[T]):
    """Something of this process that the agent may tune."""

    __slots__ = ("_awaken", "_clock", "_override", "_record")

    def __init__(
        self,
        record: KnobRecord,
        clock: Clock,
        override: Callable[[KnobRecord, KnobValue], None],
        awaken: Callable[[], None],
    ) -> None:
        self._record = record
        self._clock = clock
        self._override = override
        self._awaken = awaken

    @property
    def id(self) -> str:
        return self._record.spec.id

    @property
    def value(self) -> T:
        """The value in force. A plain memory read: never waits, never raises.

        It looks at the clock itself, so that a value whose lease has run out is not in force one read longer, even if
        the client's own thread gets no time at all.
        """
        cell = self._record.cell
        if cell.expires_at_ms == ASLEEP:
            self._awaken()
            cell = self._record.cell
        is_over = cell.expires_at_ms != NEVER and self._clock.now_ms() >= cell.expires_at_ms
        value: T = cell.fallback if is_over else cell.value
        return value

    def on_change(self, listener: Callable[[T, Rationale], object]) -> Callable[[], None]:
        """Calls `listener(value, rationale)` before each new value counts, or `await`s it where it is async.

        Raising refuses the value, with the reason; a `TransientRejection` refuses it for now only. When the value is
        one that the knob falls back to, refusing changes nothing. A listener registered while an event loop runs is
        called on that loop; any other on a thread of the tuner's own, one at a time. Returns the way to stop listening.
        """
        entry = Listener(listener, _running_loop())
        # A new list each time: whoever walks through the old one is not disturbed.
        self._record.listeners = [*self._record.listeners, entry]

        def stop() -> None:
            self._record.listeners = [other for other in self._record.listeners if other is not entry]

        return stop

    def set(self, value: T) -> None:
        """Sets the value by hand. The tuner leaves it alone from then on, until an operator unpins it.

        Raises `ValueError` when the value is not one of the knob's, and what a listener raises; nothing has changed
        then. Listeners are called here and now, except those of an event loop on another thread: these are told and not
        asked.
        """
        self._override(self._record, value)

    def __repr__(self) -> str:
        return f"Knob({self.id!r}, value={self.value!r})"


def new_record(spec: KnobSpec, read_back: Callable[[], object] | None) -> KnobRecord:
    return KnobRecord(spec, read_back, Cell(spec.baseline, NEVER, spec.baseline))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
