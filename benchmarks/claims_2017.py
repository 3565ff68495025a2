"""What was said in 2017, held against what was measured: claim, figures, verdict.

``python benchmarks/claims_2017.py results/latest > docs/claims.md`` after a run of the profile
`blog`. The words are his, as the mission of this project reports them; the verdicts follow from the
figures by the thresholds below and from nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asyncdb_bench.analysis.comparison import Comparison, command_of, compare_scenarios
from asyncdb_bench.analysis.findings import Carried
from asyncdb_bench.analysis.values import standing
from asyncdb_bench.errors import UsageError
from asyncdb_bench.extensions.deployment.section import FILE, Deployment
from asyncdb_bench.records.plan import Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.run_folder import RunFolder, open_run
from asyncdb_bench.records.step import Step
from asyncdb_bench.text import listed

HOLDS = "holds"
NOT = "no longer holds"
DEPENDS = "depends"
OPEN = "not measured"

APART = 1.5
"""Figures less than this ratio apart are called alike, as capacities of one launch are."""
NOTICEABLE_MS = 100
"""A pause that a person notices."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim.

    Parameters
    ----------
    claim : in his words.
    figures : what was measured, a sentence each.
    verdict : :data:`HOLDS`, :data:`NOT`, :data:`DEPENDS` or :data:`OPEN`.
    because : what the verdict follows from; for "depends": on what.
    """

    claim: str
    figures: tuple[str, ...]
    verdict: str
    because: str


@dataclass(frozen=True, slots=True)
class Then:
    """The author's variants, and today's of the same kind."""

    executor: Variant
    celery: Variant
    blocking: Variant | None
    executor_now: Variant | None
    celery_now: Variant | None
    native: Variant | None


def who(variants: Sequence[Variant]) -> Then | None:
    """Return the author's variants in a run; None where it has not both of them."""

    def first(strategy: str, **knobs: object) -> Variant | None:
        return next(
            (
                each
                for each in variants
                if each.strategy == strategy
                and all(each.knobs.get(name) == value for name, value in knobs.items())
            ),
            None,
        )

    executor, celery = first("executor", threads=4), first("celery", results="amqp")
    if executor is None or celery is None:
        return None
    others = [each for each in variants if each.strategy == "executor" and each is not executor]
    return Then(
        executor=executor,
        celery=celery,
        blocking=first("blocking"),
        executor_now=others[0] if others else None,
        celery_now=first("celery", results="auto"),
        native=first("native"),
    )


def claims(
    manifest: Manifest,
    comparisons: Sequence[Comparison],
    records: Sequence[Step],
    deployments: Sequence[Deployment],
) -> list[Claim]:
    """Return the claims with what became of them; none where the run has not his variants.

    Parameters
    ----------
    manifest, comparisons : of the run.
    records : its steps that stand and are sound.
    deployments : what each variant takes to deploy.
    """
    then = who(manifest.plan.variants)
    if then is None:
        return []
    by_label = {each.scenario: each for each in comparisons}
    search = next((each for name, each in by_label.items() if "search=" in name), None)
    burst = next((each for name, each in by_label.items() if name.startswith("burst")), None)
    weighed = {each.variant: each for each in deployments}
    return [
        _blocks(then, search, records),
        _hassle(then, weighed),
        _queue(then, burst, records),
        _executor(then, comparisons),
        _backend(then, comparisons),
        _today(then, comparisons),
    ]


def _blocks(then: Then, search: Comparison | None, records: Sequence[Step]) -> Claim:
    claim = "Tornado must never block; SQLAlchemy did."
    if search is None or then.blocking is None:
        return Claim(claim, (), OPEN, "the run has no chat with searches, or no blocking variant")
    felt = {
        variant.label: found
        for variant in (then.blocking, then.executor, then.native)
        if variant is not None and (found := _felt(records, search.scenario, variant)) is not None
    }
    mine = felt.get(then.blocking.label)
    others = [each for name, each in felt.items() if name != then.blocking.label]
    if mine is None or not others:
        return Claim(claim, (), OPEN, "no load was measured for both")
    figures = tuple(
        f"{search.scenario} at {step.offered_rps:g}/s, {name}: 99 % of the pings come back within"
        f" {_ping(step):,.0f} ms, 99 % of the messages within {_delivery(step):,.0f} ms"
        for name, step in felt.items()
    )
    holds = _ping(mine) > NOTICEABLE_MS and _ping(mine) > APART * max(map(_ping, others))
    verdict = HOLDS if holds else NOT
    because = (
        "called in the handler it holds up the whole chat while one member's search runs; on"
        " threads or with asyncpg it does not"
        if holds
        else "the searches held up no member noticeably more than elsewhere"
    )
    return Claim(claim, figures, verdict, because)


def _felt(records: Sequence[Step], scenario: str, variant: Variant) -> Step | None:
    """Return the step at the lowest load that was measured, of several blocks the worst."""
    own = [
        step
        for step in records
        if step.scenario == scenario and step.variant == variant.label and step.chat is not None
    ]
    lowest = min((step.offered_rps for step in own), default=0.0)
    return max((step for step in own if step.offered_rps == lowest), key=_ping, default=None)


def _ping(step: Step) -> float:
    return (step.chat.ping.p99_ms or 0.0) if step.chat else 0.0


def _delivery(step: Step) -> float:
    return (step.chat.delivery.p99_ms or 0.0) if step.chat else 0.0


def _hassle(then: Then, weighed: Mapping[str, Deployment]) -> Claim:
    claim = "Deploying Celery is a hassle."
    ours, theirs = weighed.get(then.executor.label), weighed.get(then.celery.label)
    if ours is None or theirs is None:
        return Claim(claim, (), OPEN, "deployments were not measured in this run")
    figures = tuple(_deployed(each) for each in (ours, theirs))
    rest = [sum(each.rest_mb.values()) for each in (ours, theirs)]
    more = theirs.servers != ours.servers
    return Claim(
        claim,
        figures,
        HOLDS if more and rest[1] > APART * rest[0] else DEPENDS,
        f"it is {len(theirs.servers) - len(ours.servers)} more server and"
        f" {sum(theirs.processes.values()) - sum(ours.processes.values())} more processes to keep"
        f" alive, and {rest[1] / rest[0]:.1f} x the memory at rest",
    )


def _deployed(found: Deployment) -> str:
    lines = "" if found.config_lines is None else f"{found.config_lines} lines of compose file, "
    count = sum(found.processes.values())
    size = "" if found.packages_mb is None else f" of {found.packages_mb:.0f} MB"
    return (
        f"{found.variant}: {count} process{'' if count == 1 else 'es'}, {len(found.servers)}"
        f" server{'' if len(found.servers) == 1 else 's'}, {lines}{found.packages}"
        f" packages{size}, {found.cold_start_s:.1f} s until the first answer,"
        f" {sum(found.rest_mb.values()):.0f} MB at rest"
    )


def _queue(then: Then, burst: Comparison | None, records: Sequence[Step]) -> Claim:
    claim = "If Celery is used heavily its queue may well grow too long."
    wanted = [then.celery, then.celery_now, then.executor, then.executor_now, then.native]
    present = [each for each in wanted if each is not None]
    if burst is None:
        return Claim(claim, (), OPEN, "the run has no burst")
    load = _common(records, burst.scenario, [each.label for each in present])
    waits = {
        each.label: step.backlog
        for each in present
        for step in records
        if (step.scenario, step.variant, step.offered_rps) == (burst.scenario, each.label, load)
        and step.backlog is not None
    }
    if then.celery.label not in waits or then.executor.label not in waits:
        return Claim(claim, (), OPEN, "no burst was measured for both")
    figures = tuple(
        f"{name}: after ten times {load:g}/s {each.peak:,} waited, the oldest for"
        f" {each.oldest_ms / 1000:.2g} s, "
        + (
            "not worked off within the step"
            if each.drain_s is None
            else f"worked off {each.drain_s:.2g} s after the burst"
            if each.drain_s
            else "worked off at once"
        )
        for name, each in waits.items()
    )
    mine, other = waits[then.celery.label].peak, waits[then.executor.label].peak
    today = waits.get(then.celery_now.label) if then.celery_now else None
    now = today.peak if today else mine
    if now > APART * other:
        return Claim(claim, figures, HOLDS, "it grows longer than an executor's, today's too")
    if mine > APART * other:
        because = "on the result backend: with one queue per task it does"
        return Claim(claim, figures, DEPENDS, because)
    return Claim(
        claim, figures, NOT, "an executor's queue grows as long; it is only hidden in the process"
    )


def _common(records: Sequence[Step], scenario: str, labels: Sequence[str]) -> float:
    """Return the highest load that all of these were offered; 0 where there is none."""
    loads = [
        {s.offered_rps for s in records if s.scenario == scenario and s.variant == label}
        for label in labels
    ]
    shared = set.intersection(*loads) if loads else set()
    return max(shared, default=0.0)


def _executor(then: Then, comparisons: Sequence[Comparison]) -> Claim:
    claim = "So he took run_on_executor with ThreadPoolExecutor(4)."
    pairs = _pairs(then.executor, then.celery, comparisons)
    if not pairs:
        return Claim(claim, (), OPEN, "nothing was measured for both")
    better = [name for name, a, b in pairs if a.rps > APART * b.rps]
    worse = [name for name, a, b in pairs if b.rps > APART * a.rps]
    figures = _carried(then.executor.label, then.celery.label, pairs)
    if better and not worse:
        return Claim(claim, figures, HOLDS, f"it carries more than his Celery on {listed(better)}")
    if worse and not better:
        return Claim(claim, figures, NOT, f"his Celery carries more on {listed(worse)}")
    if better:
        because = f"on the workload: better on {listed(better)}, worse on {listed(worse)}"
        return Claim(claim, figures, DEPENDS, because)
    return Claim(claim, figures, DEPENDS, "on other things than capacity: the two are level")


def _backend(then: Then, comparisons: Sequence[Comparison]) -> Claim:
    claim = "How much of his verdict on Celery was its result backend, one queue per task?"
    if then.celery_now is None:
        return Claim(claim, (), OPEN, "the run has no Celery of today")
    pairs = _pairs(then.celery_now, then.celery, comparisons)
    if not pairs:
        return Claim(claim, (), OPEN, "nothing was measured for both")
    figures = _carried(then.celery_now.label, then.celery.label, pairs)
    ratios = [a.rps / b.rps for _, a, b in pairs if b.rps > 0]
    if not ratios:
        return Claim(claim, figures, DEPENDS, "with a queue per task it carried nothing")
    low, high = min(ratios), max(ratios)
    span = f"{low:.1f} x" if round(low, 1) == round(high, 1) else f"{low:.1f} to {high:.1f} x"
    verdict = HOLDS if low > APART else NOT if high < APART else DEPENDS
    said = {
        HOLDS: "a good part",
        NOT: "little, in capacity",
        DEPENDS: "it depends on the workload",
    }[verdict]
    return Claim(claim, figures, verdict, f"{said}: reply messages carry {span} as much")


def _today(then: Then, comparisons: Sequence[Comparison]) -> Claim:
    claim = "And today: is there a reason to take neither?"
    if then.native is None:
        return Claim(claim, (), OPEN, "the run has no native variant")
    best = then.executor_now or then.executor
    pairs = _pairs(then.native, best, comparisons)
    if not pairs:
        return Claim(claim, (), OPEN, "nothing was measured for both")
    figures = _carried(then.native.label, best.label, pairs)
    more = [name for name, a, b in pairs if a.rps > APART * b.rps]
    less = [name for name, a, b in pairs if b.rps > APART * a.rps]
    if more and not less:
        because = f"native carries more than {best.label} on {listed(more)}"
        return Claim(claim, figures, HOLDS, because)
    if less:
        return Claim(claim, figures, NOT, f"{best.label} carries more on {listed(less)}")
    because = f"on other things than capacity: native and {best.label} are level"
    return Claim(claim, figures, DEPENDS, because)


def _pairs(
    first: Variant, second: Variant, comparisons: Sequence[Comparison]
) -> list[tuple[str, Carried, Carried]]:
    """Return scenario and both capacities wherever both were measured soundly."""
    return [
        (each.scenario, each.capacities[first.label], each.capacities[second.label])
        for each in comparisons
        if {first.label, second.label} <= each.capacities.keys()
        and not {first.label, second.label} & each.invalid.keys()
    ]


def _carried(
    first: str, second: str, pairs: Sequence[tuple[str, Carried, Carried]]
) -> tuple[str, ...]:
    return tuple(
        f"{scenario}: {first} carries {_rate(a)}, {second} {_rate(b)}" for scenario, a, b in pairs
    )


def _rate(carried: Carried) -> str:
    if not carried.rps:
        return "nothing of what was offered"
    return f"{'at least ' if carried.open_ended else ''}{carried.rps:,.0f}/s"


def markdown(found: Sequence[Claim], manifest: Manifest) -> str:
    """Return the claims as a page in Markdown.

    Parameters
    ----------
    found : the claims.
    manifest : for where the figures come from.
    """
    machine = manifest.machine
    services = ", ".join(f"{each.kind} {each.version}" for each in manifest.services)
    rtt_ms = manifest.plan.settings.rtt_ms
    distance = f"the database {rtt_ms:g} ms away" if rtt_ms else "the database on loopback"
    lines = [
        "# The claims of 2017",
        "",
        "Do they hold? In 2017 an engineer built a real-time chat on Tornado with SQLAlchemy,",
        "tried Celery and `run_on_executor`, and judged without measuring. These are his claims.",
        "",
        f"Measured by `{command_of(manifest)}` (seed"
        f" {manifest.seed}) on {machine['cpu']}, {machine['cores']} cores, {manifest.started_at};"
        f" {services}; {distance}. {manifest.plan.settings.blocks}"
        f" launch{'' if manifest.plan.settings.blocks == 1 else 'es'}; figures less than"
        f" {APART:g} x apart are called alike.",
    ]
    for each in found:
        lines += ["", f"## {each.claim}", "", f"**{_upper(each.verdict)}**: {each.because}.", ""]
        lines += [f"- {figure}." for figure in each.figures]
    return "\n".join(lines).rstrip() + "\n"


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def page_of(folder: RunFolder) -> str:
    """Return the page of a run.

    Raises
    ------
    UsageError : the run does not have both of his variants.
    """
    manifest, ends = folder.manifest(), folder.trials()
    stands = standing(folder.steps(), ends)
    sound = [step for step in stands if step.valid]
    comparisons = compare_scenarios(manifest, ends, stands)
    found = claims(manifest, comparisons, sound, folder.recorded()[FILE])
    if not found:
        raise UsageError(f"{folder.run_id} lacks his variants; run `bench.py run --profile blog`")
    return markdown(found, manifest)


if __name__ == "__main__":
    run = Path(sys.argv[1] if len(sys.argv) > 1 else "results/latest")
    print(page_of(open_run(run.parent, run.name)), end="")
