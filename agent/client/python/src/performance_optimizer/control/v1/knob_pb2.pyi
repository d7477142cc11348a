# Generated from proto/ by agent/client/python/generate.py. Never edited.
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Scale(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCALE_UNSPECIFIED: _ClassVar[Scale]
    SCALE_LINEAR: _ClassVar[Scale]
    SCALE_LOG: _ClassVar[Scale]

class KnobRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KNOB_ROLE_UNSPECIFIED: _ClassVar[KnobRole]
    KNOB_ROLE_TIMEOUT: _ClassVar[KnobRole]
    KNOB_ROLE_CONCURRENCY: _ClassVar[KnobRole]
    KNOB_ROLE_BATCH: _ClassVar[KnobRole]
    KNOB_ROLE_QUEUE: _ClassVar[KnobRole]
    KNOB_ROLE_MEMORY: _ClassVar[KnobRole]
    KNOB_ROLE_PRIORITY: _ClassVar[KnobRole]
    KNOB_ROLE_THREADS: _ClassVar[KnobRole]
    KNOB_ROLE_OTHER: _ClassVar[KnobRole]

class ApplyClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APPLY_CLASS_UNSPECIFIED: _ClassVar[ApplyClass]
    APPLY_CLASS_HOT: _ClassVar[ApplyClass]
    APPLY_CLASS_DRAIN: _ClassVar[ApplyClass]
    APPLY_CLASS_RELOAD: _ClassVar[ApplyClass]
    APPLY_CLASS_RESTART: _ClassVar[ApplyClass]

class Tier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TIER_UNSPECIFIED: _ClassVar[Tier]
    TIER_CRITICAL: _ClassVar[Tier]
    TIER_STABLE: _ClassVar[Tier]
    TIER_ADVANCED: _ClassVar[Tier]
    TIER_EXPERIMENTAL: _ClassVar[Tier]
    TIER_RESEARCH: _ClassVar[Tier]

class KnobMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KNOB_MODE_UNSPECIFIED: _ClassVar[KnobMode]
    KNOB_MODE_OBSERVE: _ClassVar[KnobMode]
    KNOB_MODE_RECOMMEND: _ClassVar[KnobMode]
    KNOB_MODE_APPROVE: _ClassVar[KnobMode]
    KNOB_MODE_AUTO: _ClassVar[KnobMode]
SCALE_UNSPECIFIED: Scale
SCALE_LINEAR: Scale
SCALE_LOG: Scale
KNOB_ROLE_UNSPECIFIED: KnobRole
KNOB_ROLE_TIMEOUT: KnobRole
KNOB_ROLE_CONCURRENCY: KnobRole
KNOB_ROLE_BATCH: KnobRole
KNOB_ROLE_QUEUE: KnobRole
KNOB_ROLE_MEMORY: KnobRole
KNOB_ROLE_PRIORITY: KnobRole
KNOB_ROLE_THREADS: KnobRole
KNOB_ROLE_OTHER: KnobRole
APPLY_CLASS_UNSPECIFIED: ApplyClass
APPLY_CLASS_HOT: ApplyClass
APPLY_CLASS_DRAIN: ApplyClass
APPLY_CLASS_RELOAD: ApplyClass
APPLY_CLASS_RESTART: ApplyClass
TIER_UNSPECIFIED: Tier
TIER_CRITICAL: Tier
TIER_STABLE: Tier
TIER_ADVANCED: Tier
TIER_EXPERIMENTAL: Tier
TIER_RESEARCH: Tier
KNOB_MODE_UNSPECIFIED: KnobMode
KNOB_MODE_OBSERVE: KnobMode
KNOB_MODE_RECOMMEND: KnobMode
KNOB_MODE_APPROVE: KnobMode
KNOB_MODE_AUTO: KnobMode

class KnobValue(_message.Message):
    __slots__ = ("int_value", "double_value", "bool_value", "string_value")
    INT_VALUE_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_VALUE_FIELD_NUMBER: _ClassVar[int]
    BOOL_VALUE_FIELD_NUMBER: _ClassVar[int]
    STRING_VALUE_FIELD_NUMBER: _ClassVar[int]
    int_value: int
    double_value: float
    bool_value: bool
    string_value: str
    def __init__(self, int_value: _Optional[int] = ..., double_value: _Optional[float] = ..., bool_value: bool = ..., string_value: _Optional[str] = ...) -> None: ...

class KnobSpec(_message.Message):
    __slots__ = ("id", "description", "unit", "int_domain", "double_domain", "duration_domain", "bool_domain", "enum_domain", "default_value", "baseline", "role", "apply_class", "settle_time", "ceiling_at_boot", "conditional_on", "blast_radius", "boot_flag", "boot_variable")
    ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    INT_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DURATION_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    BOOL_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    ENUM_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    APPLY_CLASS_FIELD_NUMBER: _ClassVar[int]
    SETTLE_TIME_FIELD_NUMBER: _ClassVar[int]
    CEILING_AT_BOOT_FIELD_NUMBER: _ClassVar[int]
    CONDITIONAL_ON_FIELD_NUMBER: _ClassVar[int]
    BLAST_RADIUS_FIELD_NUMBER: _ClassVar[int]
    BOOT_FLAG_FIELD_NUMBER: _ClassVar[int]
    BOOT_VARIABLE_FIELD_NUMBER: _ClassVar[int]
    id: str
    description: str
    unit: str
    int_domain: NumericDomain
    double_domain: NumericDomain
    duration_domain: NumericDomain
    bool_domain: BoolDomain
    enum_domain: EnumDomain
    default_value: KnobValue
    baseline: KnobValue
    role: KnobRole
    apply_class: ApplyClass
    settle_time: _duration_pb2.Duration
    ceiling_at_boot: bool
    conditional_on: Condition
    blast_radius: str
    boot_flag: str
    boot_variable: str
    def __init__(self, id: _Optional[str] = ..., description: _Optional[str] = ..., unit: _Optional[str] = ..., int_domain: _Optional[_Union[NumericDomain, _Mapping]] = ..., double_domain: _Optional[_Union[NumericDomain, _Mapping]] = ..., duration_domain: _Optional[_Union[NumericDomain, _Mapping]] = ..., bool_domain: _Optional[_Union[BoolDomain, _Mapping]] = ..., enum_domain: _Optional[_Union[EnumDomain, _Mapping]] = ..., default_value: _Optional[_Union[KnobValue, _Mapping]] = ..., baseline: _Optional[_Union[KnobValue, _Mapping]] = ..., role: _Optional[_Union[KnobRole, str]] = ..., apply_class: _Optional[_Union[ApplyClass, str]] = ..., settle_time: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., ceiling_at_boot: bool = ..., conditional_on: _Optional[_Union[Condition, _Mapping]] = ..., blast_radius: _Optional[str] = ..., boot_flag: _Optional[str] = ..., boot_variable: _Optional[str] = ...) -> None: ...

class NumericDomain(_message.Message):
    __slots__ = ("min", "max", "step", "scale")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    min: float
    max: float
    step: float
    scale: Scale
    def __init__(self, min: _Optional[float] = ..., max: _Optional[float] = ..., step: _Optional[float] = ..., scale: _Optional[_Union[Scale, str]] = ...) -> None: ...

class BoolDomain(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EnumDomain(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class Condition(_message.Message):
    __slots__ = ("knob", "values")
    KNOB_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    knob: str
    values: _containers.RepeatedCompositeFieldContainer[KnobValue]
    def __init__(self, knob: _Optional[str] = ..., values: _Optional[_Iterable[_Union[KnobValue, _Mapping]]] = ...) -> None: ...
