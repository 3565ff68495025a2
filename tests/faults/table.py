"""The table of the matrix. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.cases import (
    CELERY_PARTS,
    FAULTS,
    MOMENTS,
    PARTS,
    QUEUE_PARTS,
    QUEUES,
    STRATEGIES,
)
from tests.faults.strike import Outcome

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def totals(outcomes: Sequence[Outcome]) -> str:
    """Return what came of all cases in a sentence."""
    struck = [each for each in outcomes if each.struck]
    wrong = sum(bool(each.wrong) for each in outcomes)
    left = sum(bool(each.left) for each in outcomes)
    survived = sum(each.survived for each in outcomes)
    measured = sum(not each.out for each in struck)
    return (
        f"{len(outcomes)} faults tried, {len(struck)} struck, {survived} survived, {wrong} wrongly"
        f" ranked or counted, {left} with something left behind; in {measured} both variants were"
        " measured in the end."
    )


def written(text: str, outcomes: Sequence[Outcome]) -> str:
    """Return a document with the table between its markers; of a case tried twice the last."""
    outcomes = list({each.case: each for each in outcomes}.values())
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(outcomes)}\n\n{totals(outcomes)}\n{END}{after}"


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a row per part and fault, and a column per moment: a mark for each strategy, or one
    where all have the same."""
    lines = _table(outcomes, (*PARTS, *CELERY_PARTS), STRATEGIES)
    if any(each.case.strategy in QUEUES for each in outcomes):
        lines += ["", f"Of {', '.join(QUEUES)}, in this order:", ""]
        lines += _table(outcomes, QUEUE_PARTS, QUEUES)
    return "\n".join(lines)


def _table(
    outcomes: Sequence[Outcome], parts: Sequence[str], strategies: Sequence[str]
) -> list[str]:
    by_key = {(o.case.part, o.case.fault, o.case.moment, o.case.strategy): o for o in outcomes}
    lines = [
        f"| part | fault | {' | '.join(MOMENTS)} |",
        f"| --- | --- | {' | '.join('---' for _ in MOMENTS)} |",
    ]
    for part in parts:
        for fault in FAULTS:
            marks = [
                [mark(by_key.get((part, fault, moment, each))) for each in strategies]
                for moment in MOMENTS
            ]
            cells = [each[0] if len(set(each)) == 1 else " ".join(each) for each in marks]
            lines.append(f"| {part} | {fault} | {' | '.join(cells)} |")
    return lines


def mark(outcome: Outcome | None) -> str:
    """Return a case's mark: measured in the end, not measured, ended, or what went wrong."""
    if outcome is None:
        return "–"
    if not outcome.struck:
        return "?"
    if not outcome.survived:
        return "**wrong**" if outcome.wrong else "**left**"
    if outcome.code in (0, 4) and not outcome.out:
        return "ok"
    return "out" if outcome.paces else "end"
