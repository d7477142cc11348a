"""Lets the Performance Optimizer agent tune the knobs of this process, without ever being in its way.

from performance_optimizer import connect_tuner

tuner = connect_tuner(component="embedder", tier="advanced")   # returns at once, agent or no agent
batch = tuner.int("batch_size", default=8, min=1, max=64, scale="log", settle_ms=500)
batch.value                                                    # a plain memory read: never waits, never raises
"""

from ._access import ChannelAccess
from ._clock import Clock
from ._knob import Knob, TransientRejection
from ._model import ApplyClass, Condition, KnobMode, KnobRole, Rationale, Scale, Tier
from ._monitoring import Monitored, MonitoringTotals
from ._session import TunerStatus
from .tuner import KnobOptions, Tuner, connect_tuner

__all__ = [
    "ApplyClass",
    "ChannelAccess",
    "Clock",
    "Condition",
    "Knob",
    "KnobMode",
    "KnobOptions",
    "KnobRole",
    "Monitored",
    "MonitoringTotals",
    "Rationale",
    "Scale",
    "Tier",
    "TransientRejection",
    "Tuner",
    "TunerStatus",
    "connect_tuner",
]
