"""The first screen, and the reader's own case."""

from __future__ import annotations

from asyncdb_bench.analysis.advice import Advice, Ask, grid, make_advising
from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.decision import (
    Choice,
    away,
    choice_of,
    felt_sentence,
    whole_sentence,
)
from asyncdb_bench.analysis.resources import workers_sentence
from asyncdb_bench.analysis.ties import by_overload
from asyncdb_bench.analysis.verdict import Verdict
from asyncdb_bench.records.plan import Variant
from asyncdb_bench.report.document import (
    Block,
    Decision,
    Figure,
    Row,
    Section,
    Text,
    YourCase,
    row_of,
    table_of,
)
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.report.parts.fairness import unwatched
from asyncdb_bench.text import number


def figure_of(
    found: Findings, scenario: str, name: str, place: str, caption: str, role: str = ""
) -> Figure | None:
    """Return a figure of a scenario; None: it was not drawn.

    Parameters
    ----------
    found : with the drawings.
    scenario, name : of the drawing.
    place : unique in the page.
    caption, role : see :class:`Figure`.
    """
    made = found.figures.get(scenario, {}).get(name)
    if made is None:
        return None
    data = made.data
    return Figure(
        id=place,
        scenario=scenario,
        name=name,
        caption=caption,
        alt=made.alt,
        columns=data.columns if data else (),
        rows=data.rows if data else (),
        role=role,
    )


def chosen(found: Findings, comparison: Comparison, verdict: Verdict) -> Choice:
    """Return what to use for a scenario: of those that are the same, what an overload leaves."""
    asked = found.asked[comparison.scenario]
    choice = choice_of(asked, comparison, verdict, found.variants)
    others = [each for each in found.overloads if each is not comparison.findings]
    return by_overload(choice, others, found.manifest.plan.settings)


def decision_section(found: Findings) -> Section:
    """Return the first screen."""
    shown = found.shown
    choices = tuple(chosen(found, *each) for each in shown)
    blocks: list[Block] = []
    if choices:
        figure = figure_of(
            found, "", "ratios", "decision-ratios",
            "Left of 1: less than the base. Bars: 95 % for all pairs at once.", role="ratios",
        )  # fmt: skip
        blocks.append(
            Decision(
                whole=_whole(found, choices),
                choices=choices,
                felt=felt_sentence([comparison for comparison, _ in shown]),
                workers=workers_sentence(_measured(found), found.manifest),
                figure=figure,
            )
        )
    if found.pace_map is not None:
        blocks += [Text(f"{_capital(each)}.") for each in found.pace_map.sentences[:MOST_SENTENCES]]
    blocks += [Text(each, tone="bad") for each in _missing(found)]
    if not blocks:
        blocks.append(Text("Nothing was measured.", tone="bad"))
    return Section(id="decision", title="What to use", blocks=tuple(blocks), nav="Decision")


MOST_SENTENCES = 6
"""Of the map that the first screen has; its section has the others."""
MOST = 6
"""Variants that are named one by one on the first screen."""


def _missing(found: Findings) -> list[str]:
    """Say what the first screen must not leave out: who is in no figure, and what was not watched.

    Those that the time did not suffice for are told where the figures are.
    """
    everywhere = [
        name
        for name in found.variants
        if found.shown and all(name in each.not_run for each, _ in found.shown)
    ]
    first = found.shown[0][0] if found.shown else None
    said = [f"{name}: {first.absence(name)}." for name in everywhere[:MOST] if first is not None]
    if why := unwatched(found):
        said.append(
            f"The database could not be watched ({why}): budgets are as declared, nobody else"
            " counted what was done, and no answer is sound."
        )
    return said


def _measured(found: Findings) -> list[Variant]:
    known = {step.variant for step in found.records}
    return [each for each in found.variants.values() if each.label in known]


def _whole(found: Findings, choices: tuple[Choice, ...]) -> str:
    """Return a sentence over all kinds of work, with where the database was."""
    shown = found.shown
    said = whole_sentence(choices)
    if not said:
        return "" if len(shown) > 1 else f"{_capital(shown[0][1].sentence)}."
    places = {away(found.asked[each.scenario].reach, each.round_trips) for each, _ in shown}
    where = places.pop() if len(places) == 1 else ""
    return f"{_capital(where)}, {said}." if where else f"{_capital(said)}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def case_section(found: Findings) -> Section | None:
    """Return the form for the reader's own case, and its answers as a table; None: no run of it."""
    advising = make_advising(found.manifest.plan, found.comparisons)
    if not advising.cells:
        return None
    rows = [_grid_row(ask, advice) for ask, advice in grid(advising)]
    head = "a request | <use | pace [requests/s]"
    table = table_of("case-grid", head, rows, title="Within what was measured")
    intro = Text(
        "Measured, or by a model fitted to this run, with its error on cells it did not know.",
        tone="soft",
    )
    form = YourCase(advising=advising, grid=table)
    return Section(id="case", title="Your case", blocks=(intro, form), nav="Your case")


def _grid_row(ask: Ask, advice: Advice) -> Row:
    what = "query" if ask.queries == 1 else "queries"
    each = "quick" if not ask.ms else f"{number(ask.ms)} ms"
    where = f"{number(ask.queries)} {what}, {each}; {number(ask.rtt_ms)} ms away"
    pace = f"{number(advice.pace[0])} ± {advice.pace[1]:.0%}" if advice.pace else "–"
    return row_of(where, " or ".join(advice.use) or "not told", pace)
