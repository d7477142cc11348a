"""Which values a knob may have, and whether its declaration makes sense."""

from __future__ import annotations

import json
import math
import re

from ._model import KnobSpec, KnobValue

# Grid positions further from a step than this share of it are off the grid; nearer is rounding.
_GRID_TOLERANCE = 1e-6
_MAX_SAFE_INTEGER = 2**53 - 1
_MAX_ENUM_VALUES = 64
_ID = re.compile(r"[a-z][a-z0-9_.-]{0,63}\Z")
# Humans paste these into a shell or a manifest: nothing in them may mean anything there.
_FLAG = re.compile(r"^-{1,2}[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,99}\Z")


def why_not_allowed(spec: KnobSpec, value: object) -> str | None:
    """Why `value` is not one of the knob's values, in words that say what is; `None` when it is one."""
    if spec.type == "bool":
        return None if isinstance(value, bool) else f"{show(value)} is not true or false"
    if spec.type == "enum":
        if isinstance(value, str) and value in spec.values:
            return None
        return f"{show(value)} is not one of {', '.join(spec.values)}"
    # To Python True is an int; to a knob it is no number.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not is_finite(value):
        return f"{show(value)} is not a finite number"
    if spec.type == "int" and not is_safe_integer(value):
        return f"{show(value)} is not a whole number"
    if value < spec.min or value > spec.max:
        return f"{show(value)} is outside {show(spec.min)} to {show(spec.max)}"
    if spec.step is None:
        return None
    steps = (value - spec.min) / spec.step
    if abs(steps - round(steps)) <= _GRID_TOLERANCE:
        return None
    return f"{show(value)} is not {show(spec.min)} plus a multiple of {show(spec.step)}"


def why_not_tunable(spec: KnobSpec, value: object) -> str | None:
    """As `why_not_allowed`, of a value that the tuner wants: a knob whose value at boot is a ceiling stays below it."""
    problem = why_not_allowed(spec, value)
    if problem is not None or not spec.ceiling_at_boot or not isinstance(value, (int, float)):
        return problem
    if spec.type in ("bool", "enum") or not isinstance(spec.baseline, (int, float)) or value <= spec.baseline:
        return None
    return f"{show(value)} is above {show(spec.baseline)}, its value at boot, which is this knob's ceiling"


def normalised(spec: KnobSpec, value: KnobValue) -> KnobValue:
    """An allowed value in the type that the knob's readers are promised: 16.0 is 16 to an int knob."""
    if spec.type == "int":
        return int(value)
    if spec.type in ("double", "duration"):
        return float(value)
    return value


def same_value(a: KnobValue, b: KnobValue) -> bool:
    """Equality as the wire has it: 16 is 16.0, but True is not 1."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def why_not_sound(spec: KnobSpec) -> tuple[str, str] | None:
    """What is wrong with a declaration: the field, and what is allowed there; `None` when all is well."""
    if not _ID.match(spec.id):
        return "id", f"{show(spec.id)} does not match ^[a-z][a-z0-9_.-]{{0,63}}$"
    for name, text, limit in (
        ("description", spec.description, 1_024),
        ("unit", spec.unit, 32),
        ("blast_radius", spec.blast_radius, 256),
    ):
        if len(text) > limit:
            return name, f"is longer than {limit} characters"
    for name, text, pattern in (("boot_flag", spec.boot_flag, _FLAG), ("boot_variable", spec.boot_variable, _VARIABLE)):
        if text and not pattern.match(text):
            return name, f"{show(text)} does not match {pattern.pattern}"
    if not 0 <= spec.settle_ms <= 86_400_000:
        return "settle_ms", f"{spec.settle_ms} ms is outside 0 to one day"
    if spec.conditional_on is not None and len(spec.conditional_on.values) > _MAX_ENUM_VALUES:
        return "conditional_on", f"names more than {_MAX_ENUM_VALUES} values"
    flaw = _enum_flaw(spec) if spec.type == "enum" else None if spec.type == "bool" else _range_flaw(spec)
    if flaw is not None:
        return flaw
    problem = why_not_allowed(spec, spec.baseline)
    return None if problem is None else ("default", problem)


def _enum_flaw(spec: KnobSpec) -> tuple[str, str] | None:
    if not 2 <= len(spec.values) <= _MAX_ENUM_VALUES:
        return "values", f"has {len(spec.values)} entries, allowed are 2 to {_MAX_ENUM_VALUES}"
    if len(set(spec.values)) != len(spec.values):
        return "values", "names a value twice"
    for value in spec.values:
        if not isinstance(value, str) or not 1 <= len(value) <= 64:
            return "values", f"{show(value)} is not 1 to 64 characters long"
    return None


def _range_flaw(spec: KnobSpec) -> tuple[str, str] | None:
    for name, bound in (("min", spec.min), ("max", spec.max)):
        if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not is_finite(bound):
            return name, f"{show(bound)} is not a finite number"
        if spec.type == "int" and not is_safe_integer(bound):
            return name, f"{show(bound)} is not a whole number"
    if spec.min >= spec.max:
        return "max", f"{show(spec.max)} is not greater than min {show(spec.min)}"
    if spec.scale == "log" and spec.min <= 0:
        return "min", f"{show(spec.min)} is not above 0, which a log scale needs"
    if spec.type == "duration" and spec.min < 0:
        return "min", f"{show(spec.min)} is below 0, for a duration"
    if spec.step is not None and not 0 < spec.step <= spec.max - spec.min:
        return "step", f"{show(spec.step)} is not above 0 and at most max - min = {show(spec.max - spec.min)}"
    return None


def is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # An int that no double can hold.
        return False


def is_safe_integer(value: float) -> bool:
    return value == int(value) and abs(value) <= _MAX_SAFE_INTEGER


def show(value: object) -> str:
    """Quoted and cut, so that a hostile text cannot flood or forge a log line."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = json.dumps(str(type(value).__name__))
    return f"{text[:80]}…" if len(text) > 80 else text
