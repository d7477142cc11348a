"""The only file of the client that knows generated messages: both ways between the wire and what the client thinks
in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from ._domain import is_safe_integer, show
from ._model import (
    Command,
    HeldKnob,
    HoldingReport,
    KnobChange,
    KnobMode,
    KnobSpec,
    KnobType,
    KnobValue,
    OnExpiry,
    OverrideReport,
    Rationale,
    Report,
    Tier,
)
from .control.v1 import control_service_pb2 as control
from .control.v1 import knob_pb2 as wire

_MAX_SAFE_INTEGER = 2**53 - 1
_MODES: dict[int, KnobMode] = {1: "observe", 2: "recommend", 3: "approve", 4: "auto"}
_ON_EXPIRY: dict[int, OnExpiry] = {0: "baseline", 1: "hold", 2: "baseline", 3: "last_good"}


@dataclass(frozen=True)
class Identity:
    """Who this process is."""

    component: str
    tier: Tier
    instance_uid: str
    incarnation: int
    resource: Mapping[str, str]


@dataclass(frozen=True)
class Welcome:
    epoch: int
    heartbeat_interval_ms: float
    modes: Mapping[str, KnobMode]


@dataclass(frozen=True)
class CommandReceived:
    command: Command
    nonce: str


@dataclass(frozen=True)
class Renewal:
    epoch: int
    revision: int
    lease_ttl_ms: float


@dataclass(frozen=True)
class Revocation:
    epoch: int
    revision: int
    knobs: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class FullStateWanted:
    pass


@dataclass(frozen=True)
class Unreadable:
    problem: str


Incoming = Welcome | CommandReceived | Renewal | Revocation | FullStateWanted | Unreadable


def encode_hello(
    identity: Identity, specs: Sequence[KnobSpec], held: Sequence[HeldKnob], last_seen_revision: int
) -> bytes:
    types = {spec.id: spec.type for spec in specs}
    hello = control.Hello(
        instance_uid=identity.instance_uid,
        incarnation=identity.incarnation,
        resource=dict(identity.resource),
        component=identity.component,
        tier=f"TIER_{identity.tier.upper()}",
        capabilities=[
            control.CAPABILITY_VALIDATE_ONLY,
            control.CAPABILITY_ATOMIC,
            control.CAPABILITY_ON_EXPIRY,
        ],
        knobs=[_encode_spec(spec) for spec in specs],
        held=_encode_held(held, types),
        last_seen_revision=last_seen_revision,
    )
    return control.ConnectRequest(hello=hello).SerializeToString()


def encode_report(report: Report, specs: Sequence[KnobSpec]) -> bytes:
    types = {spec.id: spec.type for spec in specs}
    if isinstance(report, OverrideReport):
        override = control.ManualOverride(knob=report.knob, value=_encode_value(report.value, types.get(report.knob)))
        return control.ConnectRequest(manual_override=override).SerializeToString()
    if isinstance(report, HoldingReport):
        holding = control.Holding(held=_encode_held(report.held, types))
        return control.ConnectRequest(holding=holding).SerializeToString()
    results = [
        control.KnobResult(
            knob=result.knob,
            state=f"KNOB_STATE_{result.state.upper()}",
            effective_value=_encode_value(result.effective_value, types.get(result.knob)),
            attempted_revision=result.attempted_revision,
            effective_revision=result.effective_revision,
            error=result.error or "",
        )
        for result in report.results
    ]
    answer = control.Result(nonce=report.nonce, command_id=report.command_id, knob_results=results)
    return control.ConnectRequest(result=answer).SerializeToString()


def _encode_held(held: Sequence[HeldKnob], types: Mapping[str, KnobType]) -> list[control.HeldKnob]:
    return [
        control.HeldKnob(
            knob=each.knob,
            value=_encode_value(each.value, types.get(each.knob)),
            epoch=each.epoch,
            revision=each.revision,
            manual=each.manual,
        )
        for each in held
    ]


def encode_heartbeat(seq: int) -> bytes:
    return control.ConnectRequest(heartbeat=control.Heartbeat(seq=seq)).SerializeToString()


def encode_bye(reason: str) -> bytes:
    return control.ConnectRequest(bye=control.Bye(reason=reason)).SerializeToString()


def decode_incoming(data: bytes) -> Incoming:
    """What the agent said, or why it cannot be understood."""
    try:
        response = control.ConnectResponse.FromString(data)
    except Exception as error:  # protobuf raises more than DecodeError: strings that are no UTF-8 are a ValueError.
        return Unreadable(f"no ConnectResponse: {error}")
    kind = response.WhichOneof("message")
    if kind == "command":
        return _decode_command(response.command)
    if kind == "lease_renewal":
        renewal = response.lease_renewal
        if not _are_exact(renewal.epoch, renewal.revision):
            return Unreadable("a LeaseRenewal without a usable epoch or revision")
        return Renewal(renewal.epoch, renewal.revision, _duration_ms(renewal.lease_ttl))
    if kind == "revoke":
        revoke = response.revoke
        if not _are_exact(revoke.epoch, revoke.revision):
            return Unreadable("a Revoke without a usable epoch or revision")
        return Revocation(revoke.epoch, revoke.revision, tuple(revoke.knobs), revoke.reason)
    if kind == "welcome":
        welcome = response.welcome
        interval_ms = _duration_ms(welcome.heartbeat_interval)
        if not _are_exact(welcome.epoch) or interval_ms <= 0:
            return Unreadable("a Welcome without a usable epoch or heartbeat interval")
        modes = {knob: _MODES[mode] for knob, mode in welcome.modes.items() if mode in _MODES}
        return Welcome(welcome.epoch, interval_ms, modes)
    if kind == "report_full_state":
        return FullStateWanted()
    return Unreadable("a message of a kind that this client does not know")


def _decode_command(message: control.Command) -> Incoming:
    name = f"command {show(message.command_id)}"
    on_expiry = _ON_EXPIRY.get(message.on_expiry)
    if (
        not _are_exact(message.epoch, message.revision)
        or message.command_id == ""
        or on_expiry is None
        or message.atomicity not in (0, 1, 2)
    ):
        return Unreadable(f"{name} is malformed")
    changes: list[KnobChange] = []
    for change in message.changes:
        value = _decode_value(change.value)
        expected = _decode_value(change.expected_current)
        if value is None or (change.HasField("expected_current") and expected is None):
            return Unreadable(f"{name}: no value")
        if any(other.knob == change.knob for other in changes):
            return Unreadable(f"{name}: a knob twice")
        changes.append(KnobChange(change.knob, value, expected))
    why = message.rationale
    command = Command(
        command_id=message.command_id,
        epoch=message.epoch,
        revision=message.revision,
        changes=tuple(changes),
        lease_ttl_ms=_duration_ms(message.lease_ttl),
        apply_deadline_ms=_duration_ms(message.apply_deadline),
        atomicity="all" if message.atomicity == control.ATOMICITY_ALL else "per_knob",
        validate_only=message.validate_only,
        on_expiry=on_expiry,
        rationale=Rationale(
            why.strategy,
            why.reason,
            why.trial_id or None,
            why.expected_effect if why.HasField("expected_effect") else None,
            why.confidence if why.HasField("confidence") else None,
        ),
    )
    return CommandReceived(command, message.nonce)


def _encode_value(value: KnobValue | None, knob_type: KnobType | None) -> wire.KnobValue | None:
    """The type decides how a number travels; without it a whole number travels as an int."""
    if value is None:
        return None
    if isinstance(value, bool):
        return wire.KnobValue(bool_value=value)
    if isinstance(value, str):
        return wire.KnobValue(string_value=value)
    may_be_int = knob_type in (None, "int")
    if may_be_int and is_safe_integer(value):
        return wire.KnobValue(int_value=int(value))
    return wire.KnobValue(double_value=float(value))


def _decode_value(value: wire.KnobValue) -> KnobValue | None:
    """`None` when nothing is set, or a number that is not finite or not exact."""
    kind = value.WhichOneof("kind")
    if kind == "int_value":
        return value.int_value if abs(value.int_value) <= _MAX_SAFE_INTEGER else None
    if kind == "double_value":
        return value.double_value if math.isfinite(value.double_value) else None
    if kind == "bool_value":
        return value.bool_value
    if kind == "string_value":
        return value.string_value
    return None


def _encode_spec(spec: KnobSpec) -> wire.KnobSpec:
    baseline = _encode_value(spec.baseline, spec.type)
    message = wire.KnobSpec(
        id=spec.id,
        description=spec.description,
        unit=spec.unit,
        default_value=baseline,
        baseline=baseline,
        role=f"KNOB_ROLE_{spec.role.upper()}",
        apply_class=f"APPLY_CLASS_{spec.applies.upper()}",
        settle_time=_duration(spec.settle_ms),
        ceiling_at_boot=spec.ceiling_at_boot,
        blast_radius=spec.blast_radius,
        boot_flag=spec.boot_flag,
        boot_variable=spec.boot_variable,
    )
    if spec.conditional_on is not None:
        message.conditional_on.knob = spec.conditional_on.knob
        for value in spec.conditional_on.values:
            message.conditional_on.values.add().CopyFrom(_encode_value(value, None) or wire.KnobValue())
    if spec.type == "bool":
        message.bool_domain.SetInParent()
    elif spec.type == "enum":
        message.enum_domain.values.extend(spec.values)
    else:
        domain = wire.NumericDomain(min=spec.min, max=spec.max, scale=f"SCALE_{spec.scale.upper()}")
        if spec.step is not None:
            domain.step = spec.step
        if spec.type == "int":
            message.int_domain.CopyFrom(domain)
        elif spec.type == "double":
            message.double_domain.CopyFrom(domain)
        else:
            message.duration_domain.CopyFrom(domain)
    return message


def _are_exact(*numbers: int) -> bool:
    return all(number <= _MAX_SAFE_INTEGER for number in numbers)


def _duration(ms: float) -> Duration:
    seconds = int(ms // 1_000)
    return Duration(seconds=seconds, nanos=min(999_999_999, round((ms - seconds * 1_000) * 1e6)))


def _duration_ms(duration: Duration) -> float:
    return duration.seconds * 1_000 + duration.nanos / 1e6
