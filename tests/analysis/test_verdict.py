"""Sentences on a scenario: a winner is named only where one was measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from asyncdb_bench.analysis.comparison import Comparison, compare_scenarios
from asyncdb_bench.analysis.decision import (
    NO_DIFFERENCE,
    Choice,
    Sure,
    choice_of,
    felt_sentence,
    whole_sentence,
)
from asyncdb_bench.analysis.step.histogram import counts_of
from asyncdb_bench.analysis.verdict import decide
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import Part, Target, Variant
from asyncdb_bench.records.step import Step, TrialEnd
from tests.factories import LATE, end, manifest, paces, step, turn

DIED = Doubt(DoubtKind.DIED, subject="the application was killed by SIGKILL")


def compared(
    steps: Sequence[Step], ends: Sequence[TrialEnd] = (), *also: str, **changes: Variant
) -> Comparison:
    names = tuple(dict.fromkeys([*(each.variant for each in steps), *also]))
    made = manifest(names)
    variants = tuple(changes.get(each.label, each) for each in made.plan.variants)
    made = replace(made, plan=replace(made.plan, variants=variants))
    (found,) = compare_scenarios(made, ends, steps)
    return found


def chosen(comparison: Comparison, **variants: Variant) -> Choice:
    made = manifest((*comparison.capacities, *comparison.not_run))
    known = {each.label: each for each in made.plan.variants} | variants
    return choice_of(made.plan.scenarios[0], comparison, decide(comparison), known)


def shown(text: str) -> str:
    """Return a sentence with its figures left out: they are tried where they are made."""
    return re.sub(r"[0-9][0-9,.]*", "N", text)


# verdicts


def test_a_clear_winner_is_named_with_by_how_much() -> None:
    verdict = decide(compared(paces({"native": 500, "blocking": 100})))
    assert (verdict.best, verdict.others, verdict.open) == (("native",), ("blocking",), ())
    assert shown(verdict.sentence) == "native (N/s) is faster than blocking by N x (N to N)"
    assert "by 5.0" in verdict.sentence
    assert verdict.sound
    assert "1 launch, 12 rounds, 24 turns; " in verdict.sureness
    assert "smallest difference that would show" in verdict.sureness


def test_what_is_the_same_is_said_with_within_how_much() -> None:
    verdict = decide(compared(paces({"a": 100, "b": 100.5, "c": 50}, rounds=30)))
    assert set(verdict.best) == {"a", "b"}
    assert shown(verdict.sentence) == (
        "b and a are the same within N % (N/s); b is faster than c by N x (N to N)"
    )


def test_what_is_open_is_said_to_be_and_how_long_would_tell() -> None:
    verdict = decide(compared(paces({"a": 110, "b": 100, "c": 20}, stray=0.2, rounds=6)))
    assert verdict.best == ("a",)
    assert (verdict.open, verdict.others) == (("b",), ("c",))
    assert "not known against b: between" in verdict.sentence
    assert re.search(r"\d+ more minutes? would tell", verdict.sentence)


def test_one_variant_alone_is_not_called_the_best() -> None:
    verdict = decide(compared(paces({"native": 300})))
    assert verdict.alone
    assert shown(verdict.sentence) == "native does N/s; nothing was measured beside it"


def test_an_open_ladder_says_at_least_and_what_would_tell() -> None:
    steps = [step(name, load) for name in ("native", "executor") for load in (100, 200)]
    verdict = decide(compared(steps))
    assert "≥ 200/s" in verdict.sentence
    assert "the ladder ended before it was saturated" in verdict.sentence
    assert verdict.open == ("executor",)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([], "nothing was measured: native: the run ended before it had a turn"),
        ([step("native", 100, p99=400)], "no variant carried even the lowest offered load"),
        (
            [replace(each, valid=False, reasons=(LATE,)) for each in paces({"native": 100})],
            "nothing is ranked, since no variant was measured soundly",
        ),
    ],
)
def test_nobody_wins_where_nothing_can_be_said(steps: list[Step], words: str) -> None:
    verdict = decide(compared(steps, (), "native"))
    assert verdict.best == ()
    assert words in verdict.sentence
    assert not verdict.sound


def test_who_did_not_run_or_was_lost_is_named_and_why() -> None:
    ends = [end("celery", failure="no broker"), lost("blocking", "a"), lost("blocking", "b")]
    found = compared(paces({"native": 100, "executor": 50}), ends, "celery", "blocking")
    assert found.absence("celery") == "not run, because no broker"
    assert found.absence("blocking") == f"not measured, because {DIED.subject}"
    assert "not run: celery; not measured: blocking" in decide(found).sureness


def lost(variant: str, trial: str) -> TrialEnd:
    return end(variant, trial=trial, failure=DIED.subject, reasons=(DIED,))


def test_few_unsound_turns_leave_a_verdict_sound_and_most_do_not() -> None:
    steps = paces({"native": 500, "blocking": 100})
    for count, sound in ((3, True), (9, False)):
        spoiled = [
            replace(each, valid=False, reasons=(LATE,))
            if each.variant == "blocking" and each.turn.round < count
            else each
            for each in steps
        ]
        verdict = decide(compared(spoiled))
        assert verdict.sound == sound
        assert ("NOT SOUND" in verdict.sureness) != sound


def test_a_launch_that_its_audit_contradicts_is_in_no_figure() -> None:
    wrong = Doubt(DoubtKind.TRANSACTIONS, 150, 0.015, 100, 100, "pg_stat_database")
    ends = [end("native", trial="native-0", reasons=(wrong,)), end("blocking", trial="blocking-0")]
    found = compared(paces({"native": 500, "blocking": 100}), ends)
    assert found.findings.leader == "blocking"
    assert found.invalid["native"][0] == wrong


# decisions


def test_the_best_is_used_because_the_next_is_slower() -> None:
    found = chosen(compared(paces({"native": 500, "blocking": 100})))
    assert (found.use, found.sure, found.answer) == (("native",), Sure.KNOWN, "native")
    assert shown(found.because) == "blocking does N x (N to N)"
    assert found.costs == "nothing"


def test_what_is_not_known_recommends_nothing_and_says_who_was_ahead() -> None:
    found = chosen(compared(paces({"a": 105, "b": 100, "c": 20}, stray=0.2, rounds=6)))
    assert (found.use, found.sure) == ((), Sure.OPEN)
    assert found.answer == f"not known yet: {found.ahead} was ahead (c slower)"
    assert "would tell" in found.what_then


def test_what_is_the_same_may_be_used_and_a_list_of_all_is_no_answer() -> None:
    both = chosen(compared(paces({"a": 100, "b": 100.5, "c": 50}, rounds=30)))
    assert (set(both.use), both.sure, both.answer) == ({"a", "b"}, Sure.SAME, "b or a")
    every = chosen(compared(paces({"a": 100, "b": 100.5}, rounds=30)))
    assert every.answer == NO_DIFFERENCE


def test_one_variant_alone_is_no_recommendation() -> None:
    found = chosen(compared(paces({"executor": 100})))
    assert (found.use, found.sure, found.ahead) == ((), Sure.OPEN, "")
    assert found.answer == "executor alone was measured"
    assert found.what_then.startswith("nothing was measured beside it: add STRATEGY=executor,")
    alone = Variant("shop", "target", {}, 0, target=Target("shop", "http://127.0.0.1:1"))
    theirs = chosen(compared(paces({"shop": 100})), shop=alone)
    assert theirs.what_then == "nothing was measured beside it: add another --target"
    assert whole_sentence([found]) == ""


def test_nothing_sound_recommends_nothing() -> None:
    steps = [replace(each, valid=False, reasons=(LATE,)) for each in paces({"native": 100})]
    found = chosen(compared(steps))
    assert (found.use, found.sure) == ((), Sure.UNSOUND)


def test_parts_connections_and_dearer_cpu_are_the_price() -> None:
    celery = Variant(
        "celery", "celery", {}, 16, parts=(Part("worker", "", {}, 2),), brokers=("rabbitmq",)
    )
    steps = paces({"celery": 500}, cpu_ms=6.0) + paces({"native": 100}, cpu_ms=2.0)
    costs = chosen(compared(steps, celery=celery), celery=celery).costs
    assert re.search("3.00? x the CPU of native", costs)
    assert "16 connections instead of 8" in costs
    assert "2 worker" in costs
    assert "a broker" in costs


def choice(scenario: str, *use: str, ahead: str = "", sure: Sure = Sure.KNOWN) -> Choice:
    answer = " or ".join(use) or f"not known yet: {ahead} was ahead"
    return Choice(
        scenario=scenario, work="", use=use, answer=answer, because="", costs="", sure=sure,
        ahead=ahead,
    )  # fmt: skip


def test_one_sentence_over_several_kinds_of_work_claims_no_more_than_they() -> None:
    read, slow = choice("read", "native"), choice("slow", "executor")
    assert whole_sentence([read]) == "use native"
    assert whole_sentence([read, choice("slow", "native")]) == "use native throughout"
    assert whole_sentence([read, slow]) == "use native for read; use executor for slow"
    open_ = choice("mixed", ahead="native", sure=Sure.OPEN)
    mixed = whole_sentence([read, slow, open_])
    assert mixed.startswith("use native for read; use executor for slow; not known yet")
    assert mixed.endswith("for mixed")
    assert whole_sentence([choice("read", sure=Sure.UNSOUND)]) == ""
    same = choice("slow", "native", "blocking", sure=Sure.SAME)
    assert whole_sentence([read, same]) == "use native throughout"
    three = choice("slow", "a", "b", "c", sure=Sure.SAME)
    assert "throughout" not in whole_sentence([three, three]), "a list of all is no answer"


def test_what_freezes_the_loop_is_said_as_what_people_feel() -> None:
    def common(name: str, lag_ms: float) -> list[Step]:
        return [
            turn(name, 100, "common", number=n, lag_counts=counts_of(np.full(500, lag_ms * 1000)))
            for n in range(4)
        ]

    steps = [*common("blocking", 90), *common("native", 2), *paces({"blocking": 90, "native": 200})]
    assert shown(felt_sentence([compared(steps)])) == (
        "With blocking, everyone else waits N ms once in a hundred requests (read, N/s)"
    )
    assert felt_sentence([compared(paces({"native": 500}))]) == ""
