"""Forks: a child of the process is a process of its own, with a session of its own."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def after_fork_in_child(self) -> None: ...


_living: weakref.WeakSet[Forked] = weakref.WeakSet()
_forking: list[Forked] = []


def survive_forks(one: Forked) -> None:
    _living.add(one)


def _before() -> None:
    _forking[:] = list(_living)
    for one in _forking:
        one.before_fork()


def _in_parent() -> None:
    for one in reversed(_forking):
        one.after_fork_in_parent()
    _forking.clear()


def _in_child() -> None:
    for one in _forking:
        one.after_fork_in_child()
    _forking.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
