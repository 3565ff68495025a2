"""What to doubt: a line where all is well, and open by itself where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from asyncdb_bench.analysis import resources
from asyncdb_bench.records.doubts import (
    CORE_OF_ITS_OWN,
    LEAVE_ALONE,
    Doubt,
    DoubtKind,
    sentence,
    sentences,
    unsteady,
)
from asyncdb_bench.records.plan import Pinning
from asyncdb_bench.records.step import Step, TrialEnd
from asyncdb_bench.report.document import (
    Block,
    Bullets,
    Data,
    Fold,
    Section,
    Text,
    folded,
    row_of,
    table_of,
)
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.text import counted, number

PLACES = 4
"""Places that a note names; of more it says how many."""


def doubts_section(found: Findings) -> Section:
    """Return what to doubt."""
    invalid: list[Any] = [row for row in found.steps.itertuples() if not row.valid]
    failures = [end for end in found.ends if end.failure]
    notes = resources.notes(found.manifest, found.ends, found.records)
    sized = _by_doubt(
        (doubt, f"{step.scenario} · {step.variant}")
        for step in found.records
        if step.valid
        for doubt in step.doubts
    )
    blocks: list[Block] = []
    blocks += _named(
        "What failed is launched afresh, once, and nothing of it is used:",
        [f"{e.scenario} · {e.variant} · launch {e.block + 1}: {e.failure}" for e in failures],
    )
    if invalid:
        reasons = _by_doubt(
            (doubt, f"{row.scenario} · {row.variant} at {number(row.offered_rps)}/s")
            for row in invalid
            for doubt in row.reasons
        )
        rows = (
            row_of(
                row.variant,
                row.scenario,
                row.offered_rps,
                sentences(row.reasons),
                variant=row.variant,
            )
            for row in invalid
        )
        head = "variant | <scenario | offered [requests/s] | <why"
        blocks += _named("Invalid turns, which are in no figure:", reasons, "reasons")
        blocks.append(Data("invalid turns", table_of("invalid-steps", head, rows)))
    remedies = remedies_of(found.records, found.ends, found.manifest.pinning)
    blocks += _named("What to do:", remedies, "")
    blocks += _named(
        "Doubts with a size: the figures that they touch are as much wider.", sized, "doubts"
    )
    blocks += _named(
        "Five or more requests in a row without a right answer:",
        [_outage(step) for step in found.records if step.outages and step.overload is None],
    )
    blocks += _named("To know:", [_note(*each) for each in notes], "")
    blocks += _drifting(found)
    line = _line(len(invalid), len(found.steps), failures, notes, sized)
    fold = Fold(
        id="doubts",
        title="What to doubt",
        line=line,
        blocks=tuple(blocks) or (Text("Nothing."),),
        opened=bool(invalid or failures),
        tone="bad" if invalid or failures else "",
    )
    return folded(fold, "Doubts")


def _line(
    invalid: int, of: int, failures: Sequence[Any], notes: Sequence[Any], sized: Sequence[Any]
) -> str:
    parts = [f"{counted(of, 'turn')} sound, none failed"]
    if invalid or failures:
        parts = [f"{invalid:,} of {counted(of, 'turn')} invalid"]
        if failures:
            parts.append(f"{counted(len(failures), 'launch', 'launches')} failed")
    if sized:
        parts.append(f"{counted(len(sized), 'doubt')} with a size")
    if notes:
        parts.append(counted(len(notes), "note"))
    return "; ".join(parts)


def remedies_of(records: Sequence[Step], ends: Sequence[TrialEnd], pinning: Pinning) -> list[str]:
    """Return what to do about what made steps invalid, each once."""
    steps_and_ends: list[Step | TrialEnd] = [*records, *ends]
    doubts = [doubt for each in steps_and_ends for doubt in each.reasons]
    remedies = [doubt.remedy for doubt in doubts if doubt.remedy]
    if pinning.is_alone("load"):
        remedies = [LEAVE_ALONE if each == CORE_OF_ITS_OWN else each for each in remedies]
    return list(dict.fromkeys(remedies))


def _named(title: str, items: Sequence[str], more: str = "steps") -> list[Block]:
    """Return a list with its title; nothing where it is empty."""
    return [Text(title), Bullets(tuple(items), more)] if items else []


def _by_doubt(told: Iterable[tuple[Doubt, str]]) -> list[str]:
    """Say each kind of doubt once, by its worst figure, and where it arose."""
    found: dict[DoubtKind, list[tuple[Doubt, str]]] = {}
    for doubt, where in told:
        found.setdefault(doubt.kind, []).append((doubt, where))
    said = []
    for own in found.values():
        worst = max((doubt for doubt, _ in own), key=lambda doubt: doubt.measured or 0.0)
        at_worst = "" if len(own) == 1 else "at worst, "
        said.append(
            f"{at_worst}{_note(sentence(worst), list(dict.fromkeys(where for _, where in own)))}"
        )
    return said


def _outage(step: Step) -> str:
    said = []
    for each in step.outages[:3]:
        after = "no right answer after that"
        if each.seconds is not None:
            after = f"answered again after {number(each.seconds)} s"
        said.append(f"{each.failed} from {number(each.at_s)} s on, {after}")
    if len(step.outages) > len(said):
        said.append(f"{len(step.outages) - len(said)} more")
    at = f"{number(step.offered_rps)}/s"
    return f"{step.scenario} · {step.variant} at {at}: {'; '.join(said)}"


def _note(note: str, where: Sequence[str]) -> str:
    if not where:
        return note
    more = f" and {len(where) - PLACES} more" if len(where) > PLACES else ""
    return f"{note} ({'; '.join(where[:PLACES])}{more})"


def _drifting(found: Findings) -> list[Block]:
    """Return the steps that were not steady; those beyond the capacity can be nothing else."""
    rows = [row for row in found.steps.itertuples() if not row.steady]
    within = [_drift(row) for row in rows if row.holds]
    beyond = [_drift(row) for row in rows if not row.holds]
    blocks = _named("Not steady:", within)
    if beyond:
        fold = Fold(
            id="beyond",
            title=f"{counted(len(beyond), 'step')} beyond the capacity",
            line="queues grow there, and nothing else is to be expected",
            blocks=(Bullets(tuple(beyond), more="steps"),),
        )
        blocks.append(fold)
    return blocks


def _drift(row: Any) -> str:
    where = f"{row.scenario} · {row.variant} at {number(row.offered_rps)}/s"
    return f"{where}: {unsteady(row.drift)}"
