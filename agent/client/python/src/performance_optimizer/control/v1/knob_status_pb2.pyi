# Generated from proto/ by agent/client/python/generate.py. Never edited.
from performance_optimizer.control.v1 import knob_pb2 as _knob_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KnobStatus(_message.Message):
    __slots__ = ("spec", "desired", "effective", "mode", "pinned", "attempted_revision", "effective_revision", "last_error")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DESIRED_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_REVISION_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    spec: _knob_pb2.KnobSpec
    desired: _knob_pb2.KnobValue
    effective: _knob_pb2.KnobValue
    mode: _knob_pb2.KnobMode
    pinned: bool
    attempted_revision: int
    effective_revision: int
    last_error: str
    def __init__(self, spec: _Optional[_Union[_knob_pb2.KnobSpec, _Mapping]] = ..., desired: _Optional[_Union[_knob_pb2.KnobValue, _Mapping]] = ..., effective: _Optional[_Union[_knob_pb2.KnobValue, _Mapping]] = ..., mode: _Optional[_Union[_knob_pb2.KnobMode, str]] = ..., pinned: bool = ..., attempted_revision: _Optional[int] = ..., effective_revision: _Optional[int] = ..., last_error: _Optional[str] = ...) -> None: ...
