# Generated from proto/ by agent/client/python/generate.py. Never edited.
from google.protobuf import duration_pb2 as _duration_pb2
from performance_optimizer.control.v1 import knob_pb2 as _knob_pb2
from performance_optimizer.control.v1 import knob_watch_pb2 as _knob_watch_pb2
from performance_optimizer.control.v1 import outcome_pb2 as _outcome_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Capability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAPABILITY_UNSPECIFIED: _ClassVar[Capability]
    CAPABILITY_VALIDATE_ONLY: _ClassVar[Capability]
    CAPABILITY_ATOMIC: _ClassVar[Capability]
    CAPABILITY_ON_EXPIRY: _ClassVar[Capability]

class KnobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KNOB_STATE_UNSPECIFIED: _ClassVar[KnobState]
    KNOB_STATE_APPLYING: _ClassVar[KnobState]
    KNOB_STATE_DRAINING: _ClassVar[KnobState]
    KNOB_STATE_APPLIED: _ClassVar[KnobState]
    KNOB_STATE_REJECTED_PERMANENT: _ClassVar[KnobState]
    KNOB_STATE_REJECTED_TRANSIENT: _ClassVar[KnobState]
    KNOB_STATE_SUPERSEDED: _ClassVar[KnobState]
    KNOB_STATE_EXPIRED: _ClassVar[KnobState]
    KNOB_STATE_ROLLED_BACK: _ClassVar[KnobState]

class Atomicity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATOMICITY_UNSPECIFIED: _ClassVar[Atomicity]
    ATOMICITY_ALL: _ClassVar[Atomicity]
    ATOMICITY_PER_KNOB: _ClassVar[Atomicity]

class OnExpiry(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_EXPIRY_UNSPECIFIED: _ClassVar[OnExpiry]
    ON_EXPIRY_HOLD: _ClassVar[OnExpiry]
    ON_EXPIRY_BASELINE: _ClassVar[OnExpiry]
    ON_EXPIRY_LAST_GOOD: _ClassVar[OnExpiry]
CAPABILITY_UNSPECIFIED: Capability
CAPABILITY_VALIDATE_ONLY: Capability
CAPABILITY_ATOMIC: Capability
CAPABILITY_ON_EXPIRY: Capability
KNOB_STATE_UNSPECIFIED: KnobState
KNOB_STATE_APPLYING: KnobState
KNOB_STATE_DRAINING: KnobState
KNOB_STATE_APPLIED: KnobState
KNOB_STATE_REJECTED_PERMANENT: KnobState
KNOB_STATE_REJECTED_TRANSIENT: KnobState
KNOB_STATE_SUPERSEDED: KnobState
KNOB_STATE_EXPIRED: KnobState
KNOB_STATE_ROLLED_BACK: KnobState
ATOMICITY_UNSPECIFIED: Atomicity
ATOMICITY_ALL: Atomicity
ATOMICITY_PER_KNOB: Atomicity
ON_EXPIRY_UNSPECIFIED: OnExpiry
ON_EXPIRY_HOLD: OnExpiry
ON_EXPIRY_BASELINE: OnExpiry
ON_EXPIRY_LAST_GOOD: OnExpiry

class ConnectRequest(_message.Message):
    __slots__ = ("hello", "result", "heartbeat", "manual_override", "bye", "holding")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    MANUAL_OVERRIDE_FIELD_NUMBER: _ClassVar[int]
    BYE_FIELD_NUMBER: _ClassVar[int]
    HOLDING_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    result: Result
    heartbeat: Heartbeat
    manual_override: ManualOverride
    bye: Bye
    holding: Holding
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., result: _Optional[_Union[Result, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., manual_override: _Optional[_Union[ManualOverride, _Mapping]] = ..., bye: _Optional[_Union[Bye, _Mapping]] = ..., holding: _Optional[_Union[Holding, _Mapping]] = ...) -> None: ...

class ConnectResponse(_message.Message):
    __slots__ = ("welcome", "command", "lease_renewal", "revoke", "report_full_state")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    LEASE_RENEWAL_FIELD_NUMBER: _ClassVar[int]
    REVOKE_FIELD_NUMBER: _ClassVar[int]
    REPORT_FULL_STATE_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    command: Command
    lease_renewal: LeaseRenewal
    revoke: Revoke
    report_full_state: ReportFullState
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., command: _Optional[_Union[Command, _Mapping]] = ..., lease_renewal: _Optional[_Union[LeaseRenewal, _Mapping]] = ..., revoke: _Optional[_Union[Revoke, _Mapping]] = ..., report_full_state: _Optional[_Union[ReportFullState, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("instance_uid", "incarnation", "resource", "component", "tier", "capabilities", "knobs", "held", "last_seen_revision")
    class ResourceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INSTANCE_UID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    KNOBS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_REVISION_FIELD_NUMBER: _ClassVar[int]
    instance_uid: str
    incarnation: int
    resource: _containers.ScalarMap[str, str]
    component: str
    tier: _knob_pb2.Tier
    capabilities: _containers.RepeatedScalarFieldContainer[Capability]
    knobs: _containers.RepeatedCompositeFieldContainer[_knob_pb2.KnobSpec]
    held: _containers.RepeatedCompositeFieldContainer[HeldKnob]
    last_seen_revision: int
    def __init__(self, instance_uid: _Optional[str] = ..., incarnation: _Optional[int] = ..., resource: _Optional[_Mapping[str, str]] = ..., component: _Optional[str] = ..., tier: _Optional[_Union[_knob_pb2.Tier, str]] = ..., capabilities: _Optional[_Iterable[_Union[Capability, str]]] = ..., knobs: _Optional[_Iterable[_Union[_knob_pb2.KnobSpec, _Mapping]]] = ..., held: _Optional[_Iterable[_Union[HeldKnob, _Mapping]]] = ..., last_seen_revision: _Optional[int] = ...) -> None: ...

class HeldKnob(_message.Message):
    __slots__ = ("knob", "value", "epoch", "revision", "manual")
    KNOB_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    MANUAL_FIELD_NUMBER: _ClassVar[int]
    knob: str
    value: _knob_pb2.KnobValue
    epoch: int
    revision: int
    manual: bool
    def __init__(self, knob: _Optional[str] = ..., value: _Optional[_Union[_knob_pb2.KnobValue, _Mapping]] = ..., epoch: _Optional[int] = ..., revision: _Optional[int] = ..., manual: bool = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("nonce", "command_id", "knob_results")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    KNOB_RESULTS_FIELD_NUMBER: _ClassVar[int]
    nonce: str
    command_id: str
    knob_results: _containers.RepeatedCompositeFieldContainer[KnobResult]
    def __init__(self, nonce: _Optional[str] = ..., command_id: _Optional[str] = ..., knob_results: _Optional[_Iterable[_Union[KnobResult, _Mapping]]] = ...) -> None: ...

class KnobResult(_message.Message):
    __slots__ = ("knob", "state", "effective_value", "attempted_revision", "effective_revision", "error")
    KNOB_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_VALUE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_REVISION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    knob: str
    state: KnobState
    effective_value: _knob_pb2.KnobValue
    attempted_revision: int
    effective_revision: int
    error: str
    def __init__(self, knob: _Optional[str] = ..., state: _Optional[_Union[KnobState, str]] = ..., effective_value: _Optional[_Union[_knob_pb2.KnobValue, _Mapping]] = ..., attempted_revision: _Optional[int] = ..., effective_revision: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class ManualOverride(_message.Message):
    __slots__ = ("knob", "value")
    KNOB_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    knob: str
    value: _knob_pb2.KnobValue
    def __init__(self, knob: _Optional[str] = ..., value: _Optional[_Union[_knob_pb2.KnobValue, _Mapping]] = ...) -> None: ...

class Holding(_message.Message):
    __slots__ = ("held",)
    HELD_FIELD_NUMBER: _ClassVar[int]
    held: _containers.RepeatedCompositeFieldContainer[HeldKnob]
    def __init__(self, held: _Optional[_Iterable[_Union[HeldKnob, _Mapping]]] = ...) -> None: ...

class Bye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("epoch", "heartbeat_interval", "modes")
    class ModesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _knob_pb2.KnobMode
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_knob_pb2.KnobMode, str]] = ...) -> None: ...
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    MODES_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    heartbeat_interval: _duration_pb2.Duration
    modes: _containers.ScalarMap[str, _knob_pb2.KnobMode]
    def __init__(self, epoch: _Optional[int] = ..., heartbeat_interval: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., modes: _Optional[_Mapping[str, _knob_pb2.KnobMode]] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("command_id", "epoch", "revision", "nonce", "changes", "atomicity", "validate_only", "lease_ttl", "on_expiry", "apply_deadline", "rationale")
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    ATOMICITY_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    LEASE_TTL_FIELD_NUMBER: _ClassVar[int]
    ON_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    APPLY_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    RATIONALE_FIELD_NUMBER: _ClassVar[int]
    command_id: str
    epoch: int
    revision: int
    nonce: str
    changes: _containers.RepeatedCompositeFieldContainer[KnobChange]
    atomicity: Atomicity
    validate_only: bool
    lease_ttl: _duration_pb2.Duration
    on_expiry: OnExpiry
    apply_deadline: _duration_pb2.Duration
    rationale: Rationale
    def __init__(self, command_id: _Optional[str] = ..., epoch: _Optional[int] = ..., revision: _Optional[int] = ..., nonce: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[KnobChange, _Mapping]]] = ..., atomicity: _Optional[_Union[Atomicity, str]] = ..., validate_only: bool = ..., lease_ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., on_expiry: _Optional[_Union[OnExpiry, str]] = ..., apply_deadline: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., rationale: _Optional[_Union[Rationale, _Mapping]] = ...) -> None: ...

class KnobChange(_message.Message):
    __slots__ = ("knob", "value", "expected_current")
    KNOB_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_CURRENT_FIELD_NUMBER: _ClassVar[int]
    knob: str
    value: _knob_pb2.KnobValue
    expected_current: _knob_pb2.KnobValue
    def __init__(self, knob: _Optional[str] = ..., value: _Optional[_Union[_knob_pb2.KnobValue, _Mapping]] = ..., expected_current: _Optional[_Union[_knob_pb2.KnobValue, _Mapping]] = ...) -> None: ...

class Rationale(_message.Message):
    __slots__ = ("strategy", "reason", "trial_id", "expected_effect", "confidence")
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TRIAL_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_EFFECT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    strategy: str
    reason: str
    trial_id: str
    expected_effect: float
    confidence: float
    def __init__(self, strategy: _Optional[str] = ..., reason: _Optional[str] = ..., trial_id: _Optional[str] = ..., expected_effect: _Optional[float] = ..., confidence: _Optional[float] = ...) -> None: ...

class LeaseRenewal(_message.Message):
    __slots__ = ("epoch", "revision", "lease_ttl")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    LEASE_TTL_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    revision: int
    lease_ttl: _duration_pb2.Duration
    def __init__(self, epoch: _Optional[int] = ..., revision: _Optional[int] = ..., lease_ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Revoke(_message.Message):
    __slots__ = ("epoch", "revision", "knobs", "reason")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    KNOBS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    revision: int
    knobs: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, epoch: _Optional[int] = ..., revision: _Optional[int] = ..., knobs: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...

class ReportFullState(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...
