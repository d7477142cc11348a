"""What must hold whatever the agent, the network, the host and its users do, in whatever order: 400 seeded walks.

1. A knob holds its baseline, a value set by hand, or a value that was acknowledged (or, where each knob of a command
   stands for itself, is about to be) and whose lease still runs.
2. Every command gets one final answer, and every replay the same again.
3. Left alone, every tuned knob is back at its baseline when the last lease has run out.
"""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from rig import ClientRig, command

from performance_optimizer._holdings import ACCEPTED, Verdict
from performance_optimizer._model import Command, HoldingReport, KnobChange, KnobValue, OverrideReport

_KNOBS = ("a", "b", "c")
_LEASE_MS = 1_000


def _mood(value: KnobValue) -> Verdict | None:
    rest = int(value) % 7
    return Verdict(False, False, "refused by the host") if rest == 0 else None if rest == 1 else ACCEPTED


class _World:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rig = ClientRig()
        for knob in _KNOBS:
            self.rig.declare(knob, listened=True)
            self.rig.listeners.moods[knob] = _mood
        self.epoch, self.revision = 1, 0
        self.sent: list[Command] = []
        self.forbidden: set[str] = set()
        self.until_ms: dict[str, tuple[KnobValue, float, int]] = {}
        self.by_hand: dict[str, KnobValue] = {}
        self.answered: set[str] = set()
        self.read = 0
        self.rig.holdings.welcome(1)

    def step(self) -> None:
        rnd, holdings = self.random, self.rig.holdings
        kind = rnd.choices(
            ["command", "stale", "epoch", "replay", "renew", "revoke", "hand", "time", "answer", "restart"],
            [8, 2, 1, 2, 2, 1, 1, 4, 2, 1],
        )[0]
        knob, value = rnd.choice(_KNOBS), rnd.randint(-5, 110)
        if kind == "command":
            self.revision += rnd.randint(1, 3)
            knobs = rnd.sample([*_KNOBS, "nope"], rnd.randint(1, 3))
            changes = [
                KnobChange(each, rnd.randint(-5, 110), rnd.choice([None, None, rnd.randint(1, 100)])) for each in knobs
            ]
            atomicity = rnd.choice(["all", "per_knob"])
            name = f"s{len(self.sent)}"
            self.sent.append(command(self.revision, *changes, epoch=self.epoch, atomicity=atomicity, command_id=name))
            holdings.obey(self.sent[-1], "n")
        elif kind in ("stale", "epoch") and self.revision > 0:
            is_stale = kind == "stale"
            forged = command(
                max(0, self.revision - rnd.randint(0, 5)) if is_stale else self.revision + 1,
                KnobChange(knob, value),
                epoch=self.epoch if is_stale else self.epoch + rnd.choice([-1, 1, 7]),
                command_id=f"forged{len(self.forbidden)}",
            )
            self.forbidden.add(forged.command_id)
            holdings.obey(forged, "n")
        elif kind == "replay" and self.sent:
            holdings.obey(rnd.choice(self.sent), "replay")
        elif kind == "renew":
            up_to = self.revision - rnd.randint(0, 2)
            holdings.renew(self.epoch, up_to, _LEASE_MS)
            for each, (held, until_ms, revision) in list(self.until_ms.items()):
                if revision <= up_to and until_ms > self.rig.clock.ms:
                    self.until_ms[each] = held, self.rig.clock.ms + _LEASE_MS, revision
        elif kind == "revoke":
            self.revision += 1
            holdings.revoke(self.epoch, self.revision, [knob], "because")
        elif kind == "hand":
            with suppress(ValueError):
                if 1 <= value <= 100:
                    self.rig.knobs[knob].set(value)
                    self.by_hand[knob] = value
        elif kind == "time":
            self.rig.advance(rnd.randint(1, 700))
        elif kind == "answer":
            self.rig.listeners.answer(rnd.choice([ACCEPTED, Verdict(False, False, "refused later")]))
        elif kind == "restart":
            holdings.part()
            if rnd.random() < 0.5:
                self.epoch, self.revision = self.epoch + 1, 0
            holdings.welcome(self.epoch)
        self.hear()

    def hear(self) -> None:
        for report in self.rig.reports[self.read :]:
            if isinstance(report, OverrideReport):
                continue
            if isinstance(report, HoldingReport):
                held = {each.knob: each.value for each in report.held}
                for spec in self.rig.holdings.specs:
                    assert self.rig.read(spec.id) == held.get(spec.id, spec.baseline)
                continue
            is_replay = report.nonce == "replay" and report.command_id in self.answered
            if report.nonce != "":
                assert is_replay or report.command_id not in self.answered
                self.answered.add(report.command_id)
            for result in report.results:
                assert (result.error is None) == (result.state == "applied")
                if result.state == "applied" and not is_replay:
                    assert report.command_id not in self.forbidden
                    until_ms = self.rig.clock.ms + _LEASE_MS
                    self.until_ms[result.knob] = result.effective_value or 0, until_ms, result.attempted_revision
        self.read = len(self.rig.reports)

    def check(self) -> None:
        for knob in _KNOBS:
            value, record = self.rig.read(knob), self.rig.holdings.table.get(knob)
            assert record is not None
            if record.manual:
                assert value == self.by_hand[knob]
            elif value != 8:
                held, until_ms, _ = self.until_ms.get(knob, (None, 0.0, 0))
                is_acknowledged = held == value and until_ms > self.rig.clock.ms
                is_under_way = any(
                    each.command_id not in self.answered and any(change.value == value for change in each.changes)
                    for each in self.sent
                )
                assert is_acknowledged or is_under_way


@pytest.mark.parametrize("block", range(8))
def test_the_client_holds_only_what_it_may(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        world = _World(seed)
        for _ in range(60):
            world.step()
            world.check()
        for _ in range(8):
            world.rig.listeners.answer()
            world.rig.advance(2 * _LEASE_MS)
            world.hear()
        for knob in _KNOBS:
            record = world.rig.holdings.table.get(knob)
            assert record is not None and (record.manual or world.rig.read(knob) == 8)
        assert {each.command_id for each in world.sent} <= world.answered
