"""The rules of the control contract, in virtual time. The conformance script drives the same through a real socket."""

from __future__ import annotations

import pytest
from rig import ClientRig, command, to

from performance_optimizer._holdings import Verdict
from performance_optimizer._model import HoldingReport, KnobResult, KnobValue


def made(*listened: str) -> ClientRig:
    rig = ClientRig()
    for knob in ("batch", "queue"):
        rig.declare(knob, listened=knob in listened)
    rig.holdings.welcome(1)
    return rig


def states(results: tuple[KnobResult, ...] | None) -> list[tuple[str, str]]:
    return [(result.knob, result.state) for result in results or ()]


def test_nothing_is_obeyed_before_a_welcome_of_another_epoch_or_at_or_below_what_was_obeyed() -> None:
    early = ClientRig()
    early.declare("batch")
    early.obey(command(1, to(16)))
    assert early.read("batch") == 8

    rig = made()
    rig.obey(command(5, to(16)))
    rig.obey(command(5, to(17), command_id="forged"))
    rig.obey(command(4, to(18)))
    rig.obey(command(6, to(19), epoch=2))
    assert rig.read("batch") == 16
    for stale in ("forged", "c/1/4", "c/2/6"):
        (result,) = rig.answer_to(stale) or ()
        assert (result.state, result.effective_value) == ("superseded", 16)
        assert "stale" in (result.error or "")


def test_a_replay_applies_nothing_and_gets_the_same_answer_with_its_own_nonce() -> None:
    rig = made("batch")
    rig.obey(command(1, to(16)), "first")
    rig.obey(command(1, to(16)), "second")
    assert rig.listeners.told == [("batch", 16)]
    assert [report.nonce for report in rig.results] == ["first", "second"]
    assert rig.results[0].results == rig.results[1].results


def test_a_replay_after_the_lease_ran_out_is_not_told_that_the_value_is_in_force() -> None:
    rig = made()
    rig.obey(command(1, to(16)))
    rig.advance(1_000)
    rig.obey(command(1, to(16)), "late")
    assert rig.results[-1].nonce == "late"
    assert [(r.state, r.effective_value) for r in rig.results[-1].results] == [("expired", 8)]


def test_compare_and_set_refuses_for_now_when_someone_else_has_written() -> None:
    rig = made()
    rig.obey(command(1, to(16, expected=9)))
    (result,) = rig.answer_to("c/1/1") or ()
    assert (result.state, result.error) == ("rejected_transient", "holds 8, not 9 as expected")
    rig.obey(command(2, to(16, expected=8)))
    assert rig.read("batch") == 16


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (to(1, "nope"), 'there is no knob "nope"'),
        (to(101), "101 is outside 1 to 100"),
        (to(1.5), "1.5 is not a whole number"),
        (to("x"), '"x" is not a finite number'),
        (to(True), "true is not a finite number"),
        (to(2, "boot"), "only a restart can change this knob"),
    ],
)
def test_what_can_never_be_is_refused_for_good(change: object, error: str) -> None:
    rig = made()
    rig.declare("boot", applies="restart")
    rig.obey(command(1, change))  # type: ignore[arg-type]
    (result,) = rig.answer_to("c/1/1") or ()
    assert (result.state, result.error) == ("rejected_permanent", error)


def test_per_knob_valid_siblings_apply() -> None:
    rig = made()
    rig.obey(command(1, to(101), to(20, "queue")))
    assert [rig.read("batch"), rig.read("queue")] == [8, 20]


def test_all_or_none_asks_nobody_when_one_is_not_allowed_and_names_the_cause_first() -> None:
    rig = made("batch")
    rig.obey(command(1, to(16), to(101, "queue"), atomicity="all"))
    assert (rig.listeners.told, rig.read("batch")) == ([], 8)
    assert states(rig.answer_to("c/1/1")) == [("queue", "rejected_permanent"), ("batch", "rolled_back")]


def test_all_or_none_restores_what_agreed_when_a_sibling_is_refused() -> None:
    rig = made("batch", "queue")
    rig.obey(command(1, to(10)))
    rig.listeners.moods["queue"] = lambda _: Verdict(False, True, "busy")
    rig.obey(command(2, to(16), to(20, "queue"), atomicity="all"))
    assert rig.listeners.told == [("batch", 10), ("batch", 16), ("queue", 20), ("batch", 10)]
    assert [rig.read("batch"), rig.read("queue")] == [10, 8]
    assert states(rig.answer_to("c/1/2")) == [("queue", "rejected_transient"), ("batch", "rolled_back")]


def test_all_or_none_puts_nothing_in_force_before_the_last_has_agreed() -> None:
    rig = made("queue")
    rig.listeners.moods["queue"] = lambda _: None
    rig.obey(command(1, to(16), to(20, "queue"), atomicity="all"))
    assert [rig.read("batch"), rig.read("queue")] == [8, 8]
    rig.listeners.answer()
    assert [rig.read("batch"), rig.read("queue")] == [16, 20]


def test_validate_only_answers_and_does_nothing_else() -> None:
    rig = made("batch")
    rig.obey(command(1, to(16), to(101, "queue"), validate_only=True))
    assert states(rig.answer_to("c/1/1")) == [("batch", "applied"), ("queue", "rejected_permanent")]
    assert (rig.listeners.told, rig.read("batch")) == ([], 8)
    rig.obey(command(1, to(16), command_id="real"))
    assert rig.read("batch") == 16


def test_a_listener_that_misses_the_deadline_has_refused_for_now() -> None:
    rig = made("batch")
    rig.listeners.moods["batch"] = lambda _: None
    rig.obey(command(1, to(16)))
    assert rig.results == []
    rig.advance(500)
    assert states(rig.answer_to("c/1/1")) == [("batch", "rejected_transient")]
    assert rig.read("batch") == 8


def test_a_newer_command_supersedes_what_waits_and_what_has_not_begun() -> None:
    rig = made("batch", "queue")
    rig.listeners.moods["batch"] = lambda value: None if value == 16 else Verdict(True)
    rig.obey(command(1, to(16), to(20, "queue")))
    rig.obey(command(2, to(17)))
    rig.obey(command(3, to(18)))
    assert states(rig.answer_to("c/1/2")) == [("batch", "superseded")]
    rig.listeners.answer()
    assert states(rig.answer_to("c/1/1")) == [("batch", "applied"), ("queue", "superseded")]
    assert [rig.read("batch"), rig.read("queue")] == [18, 8]


def test_a_value_that_is_gone_by_the_time_its_command_is_answered_is_not_reported_as_applied() -> None:
    rig = made("queue")
    rig.listeners.moods["queue"] = lambda _: None
    rig.obey(command(1, to(16), to(20, "queue")))
    assert rig.read("batch") == 16
    rig.knobs["batch"].set(12)
    rig.listeners.answer()
    assert [(r.knob, r.state, r.effective_value) for r in rig.answer_to("c/1/1") or ()] == [
        ("batch", "superseded", 12),
        ("queue", "applied", 20),
    ]


def test_a_knob_that_drains_says_so_first_has_ten_deadlines_and_its_lease_begins_when_it_is_done() -> None:
    rig = made()
    rig.declare("pool", listened=True, applies="drain")
    rig.listeners.moods["pool"] = lambda value: None if value == 16 else Verdict(True)
    rig.obey(command(1, to(16, "pool")))
    assert states(rig.answer_to("c/1/1")) == [("pool", "draining")]
    rig.advance(4_000)
    rig.listeners.answer()
    assert states(rig.answer_to("c/1/1")) == [("pool", "applied")]
    rig.advance(999)
    assert rig.read("pool") == 16
    rig.clock.ms += 1
    assert rig.read("pool") == 8  # By the clock, before the books have followed.

    # With the agent gone nobody stands by it any more: it is given up as soon as it is in force.
    rig.obey(command(2, to(16, "pool")))
    rig.holdings.part()
    rig.advance(4_000)
    rig.listeners.answer()
    assert rig.read("pool") == 8


def test_a_renewal_gives_another_lease_to_what_it_covers_and_cannot_bring_back_what_ran_out() -> None:
    rig = made()
    rig.obey(command(1, to(16)))
    rig.obey(command(2, to(20, "queue")))
    rig.advance(900)
    rig.holdings.renew(1, 1, 1_000)
    rig.holdings.renew(9, 9, 1_000)
    rig.clock.ms += 100
    assert [rig.read("batch"), rig.read("queue")] == [16, 8]
    rig.holdings.renew(1, 9, 1_000)
    assert [rig.read("batch"), rig.read("queue")] == [16, 8]
    rig.advance(1_000)
    assert rig.read("batch") == 8
    assert [(report.command_id, report.nonce, states(report.results)) for report in rig.results[2:]] == [
        ("c/1/2", "", [("queue", "expired")]),
        ("c/1/1", "", [("batch", "expired")]),
    ]


def test_a_renewal_is_answered_with_what_is_held_unless_a_command_is_being_applied() -> None:
    rig = made("batch")

    def held() -> list[list[tuple[str, KnobValue, int, bool]]]:
        return [
            [(each.knob, each.value, each.revision, each.manual) for each in report.held]
            for report in rig.reports
            if isinstance(report, HoldingReport)
        ]

    rig.obey(command(3, to(16)))
    rig.knobs["queue"].set(9)
    rig.holdings.renew(1, 3, 1_000)
    rig.holdings.renew(2, 3, 1_000)
    rig.clock.ms += 1_000
    rig.holdings.renew(1, 3, 1_000)
    rig.listeners.moods["batch"] = lambda _: None
    rig.obey(command(4, to(20)))
    rig.holdings.renew(1, 4, 1_000)
    assert held() == [[("batch", 16, 3, False), ("queue", 9, 0, True)], [("queue", 9, 0, True)]]


def test_hold_keeps_the_value_and_last_good_returns_to_what_was_stood_by() -> None:
    rig = made()
    rig.obey(command(1, to(16), on_expiry="hold"))
    rig.advance(1_000)
    assert rig.read("batch") == 16
    (result,) = rig.answer_to("c/1/1") or ()
    assert (result.state, result.effective_value, result.effective_revision) == ("expired", 16, 1)

    rig.obey(command(2, to(20, "queue")))
    rig.holdings.renew(1, 2, 1_000)
    rig.obey(command(3, to(30, "queue"), on_expiry="last_good"))
    rig.clock.ms += 1_000
    assert rig.read("queue") == 20
    rig.holdings.expire()
    assert [(held.knob, held.value, held.revision) for held in rig.holdings.held] == [
        ("batch", 16, 1),
        ("queue", 20, 2),
    ]


def test_revocations_take_back_what_was_commanded_up_to_their_revision_and_nothing_newer() -> None:
    rig = made()
    rig.obey(command(1, to(16)))
    rig.obey(command(3, to(20, "queue")))
    rig.holdings.revoke(1, 2, ["batch", "queue", "nope"], "why")
    rig.holdings.revoke(2, 9, ["queue"], "forged")
    assert [rig.read("batch"), rig.read("queue")] == [8, 20]


def test_a_revocation_wins_over_a_command_that_is_being_applied() -> None:
    rig = made("batch")
    rig.listeners.moods["batch"] = lambda _: None
    rig.obey(command(1, to(16)))
    rig.holdings.revoke(1, 2, ["batch"], "why")
    rig.listeners.answer()
    assert states(rig.answer_to("c/1/1")) == [("batch", "superseded")]
    assert (rig.read("batch"), rig.listeners.told[-1]) == (8, ("batch", 8))


def test_a_hand_wins_until_a_command_knows_of_it() -> None:
    rig = made()
    rig.obey(command(1, to(16)))
    rig.knobs["batch"].set(12)
    rig.advance(5_000)
    rig.holdings.revoke(1, 2, ["batch"], "why")
    rig.obey(command(3, to(20)))
    (result,) = rig.answer_to("c/1/3") or ()
    assert (rig.read("batch"), result.state, result.error) == (12, "rejected_transient", "was set by hand to 12")
    assert [(held.value, held.manual, held.epoch) for held in rig.holdings.held] == [(12, True, 0)]
    rig.obey(command(4, to(20, expected=12)))
    assert (rig.read("batch"), rig.holdings.held[0].manual) == (20, False)


def test_an_agent_that_lost_its_state_is_refused_while_anything_is_held() -> None:
    rig = made()
    rig.holdings.welcome(5)
    rig.obey(command(9, to(16), epoch=5))
    assert rig.holdings.last_seen_revision == 9
    rig.holdings.part()
    rig.holdings.welcome(1)
    rig.obey(command(1, to(20)))
    assert rig.read("batch") == 16
    rig.advance(1_000)
    rig.obey(command(2, to(20)))
    assert rig.read("batch") == 20


def test_a_forked_child_holds_nothing_that_its_parent_was_told_and_keeps_what_a_hand_set() -> None:
    rig = made("batch")
    rig.obey(command(1, to(16)))
    rig.knobs["queue"].set(30)
    reported = len(rig.reports)
    rig.holdings.forget()
    assert [rig.read("batch"), rig.read("queue")] == [8, 30]
    assert (rig.listeners.told[-1], len(rig.reports)) == (("batch", 8), reported)
    assert [held.knob for held in rig.holdings.held] == ["queue"]
    rig.obey(command(2, to(20)))
    assert rig.read("batch") == 8


def test_memory_is_bounded_whatever_the_agent_sends() -> None:
    rig = made()
    for revision in range(1, 2_000):
        rig.obey(command(revision, to(1 + revision % 90)))
    assert len(rig.holdings._answers._answers) == 64
