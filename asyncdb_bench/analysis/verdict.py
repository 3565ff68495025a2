"""Tables -> sentences: which way to go for which workload, why, and how sure it is. Pure.

When the answer would change, and what the best costs, is in
:mod:`asyncdb_bench.analysis.conditions`.
"""

from __future__ import annotations

from collections.abc import Sequence

from asyncdb_bench.analysis.capacity import Capacity, amount
from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.conditions import NOTABLE, conditions_of
from asyncdb_bench.analysis.ranking import SINGLE_BLOCK_RATIO, leaders
from asyncdb_bench.analysis.turn_verdict import turn_verdict
from asyncdb_bench.analysis.verdict_parts import Badge, Verdict, nothing_verdict, short_of
from asyncdb_bench.records.sentences import sentence
from asyncdb_bench.text import listed, number, warranted


def decide(comparison: Comparison, blocks: int) -> Verdict:
    """Return the verdict on one scenario.

    Parameters
    ----------
    comparison : its tables.
    blocks : how often it was repeated.
    """
    if comparison.turns is not None:
        return turn_verdict(comparison, comparison.turns)
    carried = {name: each for name, each in comparison.capacities.items() if each.rps > 0}
    if not carried:
        return nothing_verdict(comparison)
    best = leaders(comparison.standings)
    others = [name for name in comparison.capacities if name not in best]
    shaky = [name for name in carried if name in comparison.invalid]
    return Verdict(
        scenario=comparison.scenario,
        best=best,
        sentence=_sentence(best, others, comparison),
        why=". ".join(filter(None, (_why(comparison), short_of(comparison)))),
        sureness=_sureness(blocks, comparison, shaky),
        sound=not shaky,
        others=tuple(others),
        conditions=conditions_of(comparison, best),
        badges=_badges(blocks, comparison, shaky),
    )


def _badges(blocks: int, comparison: Comparison, shaky: Sequence[str]) -> tuple[Badge, ...]:
    found = [Badge("not sound", warns=True) if shaky else Badge("measured soundly")]
    found.append(
        Badge("measured once, not replicated", warns=True)
        if blocks < 2
        else Badge(f"replicated: {blocks} blocks")
    )
    smallest = [each.smallest for each in comparison.standings.values() if each.smallest]
    if smallest:
        least = min(smallest)
        size = f"{least - 1:.0%}" if least < SINGLE_BLOCK_RATIO else f"{least:.2g} x"
        found.append(Badge(f"smallest difference that would show: {size}"))
    return tuple(found)


def _sentence(best: tuple[str, ...], others: Sequence[str], comparison: Comparison) -> str:
    carried = comparison.capacities
    if len(carried) == 1:
        return f"{best[0]} carries {rate(carried[best[0]])}; there is nothing to compare it with"
    ordered = sorted((carried[name] for name in best), key=lambda each: each.rps)
    spread = [each.rps for each in ordered]
    least, most = amount(ordered[0]), amount(ordered[-1])
    carries = f"{least}/s" if least == most else f"{least} to {most}/s"
    at_least = "at least " if any(carried[name].open_ended for name in best) else ""
    level = (
        "are level"
        if spread[-1] <= SINGLE_BLOCK_RATIO * spread[0]
        else "are not told apart by this run"
    )
    head = (
        f"use {best[0]}: it carries {at_least}{carries}"
        if len(best) == 1
        else f"{listed(best)} {level}: they carry {at_least}{carries}{_among(best, comparison)}"
    )
    if not others:
        return head
    reference = max(carried[name].rps for name in best)
    against = [f"{name} {_ratio(reference, name, comparison)}" for name in others]
    return f"{head}, against {listed(against)}{_price(best, comparison)}"


def _among(best: tuple[str, ...], comparison: Comparison) -> str:
    """Say which of several level variants is cheapest and which keeps the loop freest."""
    said = []
    for figure, praise in (
        ("cpu_ms_per_request", "takes the least CPU"),
        ("loop_lag_p99_ms", "keeps the loop freest"),
    ):
        rows = comparison.rows.reindex(list(best))
        known = rows[figure].dropna() if len(comparison.rows) else rows.iloc[:, :0].sum(axis=1)
        if len(known) > 1 and known.max() >= NOTABLE * known.min():
            said.append((str(known.idxmin()), praise))
    if not said:
        return ""
    if len(said) == 2 and said[0][0] == said[1][0]:
        return f" (of these {said[0][0]} {said[0][1]} and {said[1][1]})"
    return f" (of these {listed([f'{name} {praise}' for name, praise in said])})"


def _price(best: tuple[str, ...], comparison: Comparison) -> str:
    """Say what the best costs in CPU where another that carries half as much is far cheaper."""
    costs = comparison.rows["cpu_ms_per_request"].dropna().to_dict() if len(comparison.rows) else {}
    top = comparison.capacities[best[0]].rps
    rivals = [
        name
        for name, each in comparison.capacities.items()
        if name not in best and name in costs and each.rps >= top / 2
    ]
    if not rivals or best[0] not in costs:
        return ""
    cheapest = min(rivals, key=lambda name: costs[name])
    if costs[best[0]] < NOTABLE * costs[cheapest]:
        return ""
    return f"; {best[0]} takes {costs[best[0]] / costs[cheapest]:.1f} x the CPU of {cheapest}"


def _ratio(best: float, name: str, comparison: Comparison) -> str:
    other, standing = comparison.capacities[name], comparison.standings[name]
    if other.rps == 0:
        return f"not even {number(other.high)}/s" if other.high else "nothing"
    share = standing.ratio if standing.ratio is not None else other.rps / best
    bounds = ""
    if len(other.per_block) > 1 and standing.low is not None and standing.high is not None:
        bounds = f", {standing.low:.0%} to {standing.high:.0%}"
    return f"{amount(other)}/s ({share:.0%}{bounds})"


def _why(comparison: Comparison) -> str:
    """Compare at the common load: what a caller waits, what the loop feels, what it costs."""
    rows = comparison.rows
    if comparison.common_rps is None or len(rows) < 2:
        return ""
    parts = []
    for name, label, unit in (
        ("p99_ms", "p99", "ms"),
        ("loop_lag_p99_ms", "loop lag p99", "ms"),
        ("cpu_ms_per_request", "CPU per request", "ms"),
    ):
        known = rows[rows[name].notna()]
        if len(known):
            values = ", ".join(
                f"{variant} {warranted(row[name], row.get(f'{name}_low'), row.get(f'{name}_high'))}"
                for variant, row in known.iterrows()
            )
            parts.append(f"{label} ({unit}): {values}")
    return f"At {number(comparison.common_rps)}/s, where all were measured: " + "; ".join(parts)


def _sureness(blocks: int, comparison: Comparison, shaky: Sequence[str]) -> str:
    parts = []
    if blocks < 2:
        parts.append(
            "measured once, a first impression: there is no interval over repetitions, and"
            f" capacities less than {SINGLE_BLOCK_RATIO:g} x or a step of the ladder apart are"
            " called level"
        )
    else:
        parts.append(
            f"{blocks} blocks in random order; level means that the 95 % interval of the ratio of"
            " two capacities, block by block, holds 1"
        )
    if any(each.open_ended for each in comparison.capacities.values()):
        ended = [name for name, each in comparison.capacities.items() if each.open_ended]
        parts.append(f"the ladder ended before {listed(ended)} was saturated")
    if shaky:
        reasons = "; ".join(f"{name}: {sentence(comparison.invalid[name][0])}" for name in shaky)
        parts.append(f"NOT SOUND, it rests on invalid steps ({reasons})")
    if comparison.absent:
        parts.append(comparison.absent)
    return "; ".join(parts)


def rate(capacity: Capacity) -> str:
    """Return a capacity as text: ``≥ 400/s`` where the ladder ended first."""
    if capacity.rps == 0:
        return f"< {number(capacity.high)}/s" if capacity.high else "none"
    return f"{'≥ ' if capacity.open_ended else ''}{amount(capacity)}/s"
