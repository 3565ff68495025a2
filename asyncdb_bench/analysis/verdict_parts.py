"""What verdicts are made of, whether variants climbed ladders or took turns. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.records.sentences import sentence
from asyncdb_bench.text import listed


@dataclass(frozen=True, slots=True)
class Badge:
    """A few words beside a verdict; `warns` where they are a reason to doubt."""

    text: str
    warns: bool = False


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
    conditions : when the answer would change, and at what cost it comes; a sentence each.
    badges : the same in a few words each.
    sound : False where it rests on invalid steps or on nothing.
    others : variants that fell short of the best.
    open : variants of which it is not known whether they do.
    """

    scenario: str
    best: tuple[str, ...]
    sentence: str
    why: str
    sureness: str
    sound: bool
    others: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    badges: tuple[Badge, ...] = ()


def nothing_verdict(comparison: Comparison) -> Verdict:
    """Return the verdict on a scenario of which nothing can be said."""
    text = "nothing was measured"
    if comparison.capacities:
        text = (
            "no variant carried even the lowest offered load; ask for less (a lower ladder) or look"
            " at the logs"
        )
    if comparison.invalid and set(comparison.invalid) >= set(comparison.capacities):
        first = next(iter(comparison.invalid.values()))[0]
        text = f"nothing is ranked, since no variant was measured soundly: {sentence(first)}"
    return Verdict(
        comparison.scenario,
        (),
        text,
        "",
        "",
        sound=False,
        badges=(Badge("no verdict", warns=True),),
    )


def short_of(comparison: Comparison) -> str:
    """Say what each was short of at saturation, those with the same together."""
    by_name: dict[str, list[str]] = {}
    for name in comparison.capacities:
        limit = comparison.limits.get(name)
        if limit is not None and limit.diagnosis.bottleneck:
            by_name.setdefault(limit.diagnosis.bottleneck, []).append(name)
    parts = [f"{listed(names)} by {_article(what)}" for what, names in by_name.items()]
    return f"Held back: {'; '.join(parts)}" if parts else ""


def _article(bottleneck: str) -> str:
    return "something not identified" if bottleneck == "not identified" else f"the {bottleneck}"
