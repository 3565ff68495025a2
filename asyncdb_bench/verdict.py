"""Tables -> sentences: which way to go for which workload, why, and how sure it is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asyncdb_bench.analysis import Capacity, Comparison

ONCE = 1.5
"""Measured once, capacities less than this apart are level: trials of one block are minutes apart,
and the shared machines that this was built on changed their pace by as much (docs/method.md)."""
DEAR = 1.5
"""From this ratio of CPU per request on, the sentence says what the best costs."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one scenario.

    Parameters
    ----------
    scenario : its label.
    best : variants that nothing measured here tells apart at the top; empty where there is none.
    sentence : which way to go, and by how much.
    why : the figures behind it.
    sureness : how far it can be relied on.
    sound : False where it rests on invalid steps or on nothing.
    """

    scenario: str
    best: tuple[str, ...]
    sentence: str
    why: str
    sureness: str
    sound: bool


def decide(comparison: Comparison, blocks: int) -> Verdict:
    """Return the verdict on one scenario.

    Parameters
    ----------
    comparison : its tables.
    blocks : how often it was repeated.
    """
    carried = {name: each for name, each in comparison.capacities.items() if each.rps > 0}
    if not carried:
        return _nothing(comparison)
    best = leaders(carried)
    others = [name for name in comparison.capacities if name not in best]
    shaky = [name for name in carried if name in comparison.invalid]
    return Verdict(
        scenario=comparison.scenario,
        best=best,
        sentence=_sentence(best, others, comparison),
        why=". ".join(filter(None, (_why(comparison), _short_of(comparison)))),
        sureness=_sureness(blocks, comparison, shaky),
        sound=not shaky,
    )


def _nothing(comparison: Comparison) -> Verdict:
    text = "nothing was measured"
    if comparison.capacities:
        text = (
            "no variant carried even the lowest offered load; ask for less (a lower ladder) or look"
            " at the logs"
        )
    if comparison.capacities and set(comparison.invalid) == set(comparison.capacities):
        first = next(iter(comparison.invalid.values()))[0]
        text = f"nothing is ranked, since no variant was measured soundly: {first}"
    return Verdict(comparison.scenario, (), text, "", "", sound=False)


def leaders(carried: dict[str, Capacity]) -> tuple[str, ...]:
    """Return the best variant and those that cannot be told apart from it.

    Two capacities are told apart when their intervals do not touch: over blocks where there are
    several, else between the load that was carried and the next, which was not; and measured once
    they must be :data:`ONCE` apart besides.
    """
    top = max(carried.values(), key=lambda each: each.rps)

    def level(each: Capacity) -> bool:
        once = len(each.per_block) < 2 or len(top.per_block) < 2
        near = once and each.rps * ONCE >= top.rps
        return near or each.high is None or each.high >= top.low

    return tuple(name for name, each in carried.items() if level(each))


def _sentence(best: tuple[str, ...], others: Sequence[str], comparison: Comparison) -> str:
    carried = comparison.capacities
    if len(carried) == 1:
        return f"{best[0]} carries {rate(carried[best[0]])}; there is nothing to compare it with"
    spread = sorted(carried[name].rps for name in best)
    amount = (
        f"{_number(spread[0])}/s"
        if spread[0] == spread[-1]
        else f"{_number(spread[0])} to {_number(spread[-1])}/s"
    )
    at_least = "at least " if any(carried[name].open_ended for name in best) else ""
    head = (
        f"use {best[0]}: it carries {at_least}{amount}"
        if len(best) == 1
        else f"{_list(best)} are level: they carry {at_least}{amount}{_among(best, comparison)}"
    )
    if not others:
        return head
    reference = max(carried[name].rps for name in best)
    against = [f"{name} {_ratio(reference, carried[name])}" for name in others]
    return f"{head}, against {_list(against)}{_price(best, comparison)}"


def _among(best: tuple[str, ...], comparison: Comparison) -> str:
    """Say which of several level variants is cheapest and which keeps the loop freest."""
    said = []
    for figure, praise in (
        ("cpu_ms_per_request", "takes the least CPU"),
        ("loop_lag_p99_ms", "keeps the loop freest"),
    ):
        rows = comparison.rows.reindex(list(best))
        known = rows[figure].dropna() if len(comparison.rows) else rows.iloc[:, :0].sum(axis=1)
        if len(known) > 1 and known.max() >= DEAR * known.min():
            said.append((str(known.idxmin()), praise))
    if not said:
        return ""
    if len(said) == 2 and said[0][0] == said[1][0]:
        return f" (of these {said[0][0]} {said[0][1]} and {said[1][1]})"
    return f" (of these {_list([f'{name} {praise}' for name, praise in said])})"


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
    if costs[best[0]] < DEAR * costs[cheapest]:
        return ""
    return f"; {best[0]} takes {costs[best[0]] / costs[cheapest]:.1f} x the CPU of {cheapest}"


def _ratio(best: float, other: Capacity) -> str:
    if other.rps == 0:
        return f"not even {_number(other.high)}/s" if other.high else "nothing"
    return f"{_number(other.rps)}/s ({other.rps / best:.0%})"


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
        known = rows[name].dropna()
        if len(known):
            listed = ", ".join(f"{variant} {_number(value)}" for variant, value in known.items())
            parts.append(f"{label} ({unit}): {listed}")
    return f"At {_number(comparison.common_rps)}/s, where all were measured: " + "; ".join(parts)


def _short_of(comparison: Comparison) -> str:
    """Say what each was short of at saturation, those with the same together."""
    by_name: dict[str, list[str]] = {}
    for name in comparison.capacities:
        limit = comparison.limits.get(name)
        if limit is not None and limit.diagnosis.bottleneck:
            by_name.setdefault(limit.diagnosis.bottleneck, []).append(name)
    parts = [f"{_list(names)} by {_article(what)}" for what, names in by_name.items()]
    return f"Held back: {'; '.join(parts)}" if parts else ""


def _article(bottleneck: str) -> str:
    return "something not identified" if bottleneck == "not identified" else f"the {bottleneck}"


def _sureness(blocks: int, comparison: Comparison, shaky: Sequence[str]) -> str:
    parts = []
    if blocks < 2:
        parts.append(
            "measured once, a first impression: there is no interval over repetitions, and"
            f" capacities less than {ONCE:g} x or a step of the ladder apart are called level"
        )
    else:
        parts.append(f"{blocks} blocks in random order; level means that 95 % intervals overlap")
    if any(each.open_ended for each in comparison.capacities.values()):
        ended = [name for name, each in comparison.capacities.items() if each.open_ended]
        parts.append(f"the ladder ended before {_list(ended)} was saturated")
    if shaky:
        reasons = "; ".join(f"{name}: {comparison.invalid[name][0]}" for name in shaky)
        parts.append(f"NOT SOUND, it rests on invalid steps ({reasons})")
    if comparison.not_run:
        parts.append(f"not run: {_list(list(comparison.not_run))}")
    return "; ".join(parts)


def rate(capacity: Capacity) -> str:
    """Return a capacity as text: ``≥ 400/s`` where the ladder ended first."""
    if capacity.rps == 0:
        return f"< {_number(capacity.high)}/s" if capacity.high else "none"
    return f"{'≥ ' if capacity.open_ended else ''}{_number(capacity.rps)}/s"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _list(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
