"""The client's nouns. Durations are in milliseconds where a name ends in `_ms`; values of duration knobs are in
seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

KnobValue = bool | int | float | str
Tier = Literal["critical", "stable", "advanced", "experimental", "research"]
KnobMode = Literal["observe", "recommend", "approve", "auto"]
KnobRole = Literal["timeout", "concurrency", "batch", "queue", "memory", "priority", "threads", "other"]
ApplyClass = Literal["hot", "drain", "reload", "restart"]
Scale = Literal["linear", "log"]
KnobType = Literal["int", "double", "duration", "bool", "enum"]
Atomicity = Literal["all", "per_knob"]
OnExpiry = Literal["hold", "baseline", "last_good"]
KnobState = Literal[
    "applying",
    "draining",
    "applied",
    "rejected_permanent",
    "rejected_transient",
    "superseded",
    "expired",
    "rolled_back",
]

TIERS: tuple[str, ...] = get_args(Tier)


class Fence(NamedTuple):
    """How far commands have come: of which start of the agent, and which of that start's. Compares as it should."""

    epoch: int
    revision: int


@dataclass(frozen=True)
class Condition:
    """A knob means something only while another knob has one of these values."""

    knob: str
    values: tuple[KnobValue, ...]


@dataclass(frozen=True)
class KnobSpec:
    """A knob as it was declared."""

    id: str
    type: KnobType
    baseline: KnobValue
    min: float = 0
    max: float = 0
    step: float | None = None
    scale: Scale = "linear"
    values: tuple[str, ...] = ()
    description: str = ""
    unit: str = ""
    role: KnobRole = "other"
    applies: ApplyClass = "hot"
    settle_ms: float = 0
    ceiling_at_boot: bool = False
    conditional_on: Condition | None = None
    blast_radius: str = ""
    boot_flag: str = ""
    boot_variable: str = ""


@dataclass(frozen=True)
class Rationale:
    """Why a value changes."""

    strategy: str
    reason: str
    trial_id: str | None = None
    expected_effect: float | None = None
    """Relative change of the objective that is expected, negative is better; `None` where nothing was measured."""
    confidence: float | None = None


@dataclass(frozen=True)
class KnobChange:
    knob: str
    value: KnobValue
    expected_current: KnobValue | None = None


@dataclass(frozen=True)
class Command:
    command_id: str
    epoch: int
    revision: int
    changes: tuple[KnobChange, ...]
    lease_ttl_ms: float
    apply_deadline_ms: float
    atomicity: Atomicity = "per_knob"
    validate_only: bool = False
    on_expiry: OnExpiry = "baseline"
    rationale: Rationale = field(default_factory=lambda: Rationale("", ""))

    @property
    def fence(self) -> Fence:
        return Fence(self.epoch, self.revision)


@dataclass(frozen=True)
class KnobResult:
    knob: str
    state: KnobState
    effective_value: KnobValue | None
    attempted_revision: int
    effective_revision: int
    error: str | None = None


@dataclass(frozen=True)
class HeldKnob:
    knob: str
    value: KnobValue
    epoch: int
    revision: int
    manual: bool


@dataclass(frozen=True)
class ResultReport:
    """What became of a command. The nonce is empty when no command is answered."""

    nonce: str
    command_id: str
    results: tuple[KnobResult, ...]


@dataclass(frozen=True)
class OverrideReport:
    """A knob was set by hand."""

    knob: str
    value: KnobValue


@dataclass(frozen=True)
class HoldingReport:
    """What is held, in answer to a renewal."""

    held: tuple[HeldKnob, ...]


Report = ResultReport | OverrideReport | HoldingReport
