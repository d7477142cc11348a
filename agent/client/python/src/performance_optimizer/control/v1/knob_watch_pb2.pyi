# Generated from proto/ by agent/client/python/generate.py. Never edited.
from performance_optimizer.control.v1 import knob_status_pb2 as _knob_status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchKnobsRequest(_message.Message):
    __slots__ = ("component", "epoch", "start_revision")
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    START_REVISION_FIELD_NUMBER: _ClassVar[int]
    component: str
    epoch: int
    start_revision: int
    def __init__(self, component: _Optional[str] = ..., epoch: _Optional[int] = ..., start_revision: _Optional[int] = ...) -> None: ...

class WatchKnobsResponse(_message.Message):
    __slots__ = ("epoch", "revision", "is_snapshot", "updates")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    IS_SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    revision: int
    is_snapshot: bool
    updates: _containers.RepeatedCompositeFieldContainer[KnobUpdate]
    def __init__(self, epoch: _Optional[int] = ..., revision: _Optional[int] = ..., is_snapshot: bool = ..., updates: _Optional[_Iterable[_Union[KnobUpdate, _Mapping]]] = ...) -> None: ...

class KnobUpdate(_message.Message):
    __slots__ = ("component", "knob", "revision", "status")
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    KNOB_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    component: str
    knob: str
    revision: int
    status: _knob_status_pb2.KnobStatus
    def __init__(self, component: _Optional[str] = ..., knob: _Optional[str] = ..., revision: _Optional[int] = ..., status: _Optional[_Union[_knob_status_pb2.KnobStatus, _Mapping]] = ...) -> None: ...
