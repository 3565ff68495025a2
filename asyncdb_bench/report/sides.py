"""Sides to compare, runs or variants of a run, and what else differs between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asyncdb_bench.analysis.findings import ScenarioFindings
from asyncdb_bench.analysis.inference import (
    CAPACITY,
    GOODPUT,
    METRICS,
    Metric,
    Ratio,
    Slack,
    unpaired_ratio,
)
from asyncdb_bench.analysis.metric_table import Answer, Table, answer_of
from asyncdb_bench.errors import StoreError, UsageError
from asyncdb_bench.records.plan import PlannedScenario
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.run_folder import RunFolder, open_run
from asyncdb_bench.report.write import analysed

MACHINE = ("cpu", "cores", "usable_cores", "memory_mb", "kernel")


OTHER_TIME = (
    "two runs, not one: they were not interleaved, so what changed on the machine between them is"
    " in the ratios and not in the intervals"
)
Differing = tuple[str, object, object]
"""What may differ, and its value in base and in head."""


@dataclass(frozen=True, slots=True)
class Side:
    """A run, or one variant of it.

    Parameters
    ----------
    manifest : of the run.
    found : what was found of each scenario, by label.
    variant : its label; empty: all of the run's.
    taken, unused : turns by scenario and variant: all, and those that are in no figure.
    """

    manifest: Manifest
    found: Mapping[str, ScenarioFindings]
    variant: str = ""
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)
    unused: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.manifest.run_id}/{self.variant}" if self.variant else self.manifest.run_id

    def unsound(self, scenario: str, variant: str) -> list[str]:
        """Say how many of a variant's turns are in no figure; nothing where all are."""
        unused, taken = self.unused[scenario, variant], self.taken[scenario, variant]
        place = f"{self.manifest.run_id}, {scenario} · {variant}"
        told = f"{place}: {unused} of {taken} turns were not sound and are in no figure"
        return [told] if unused else []


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of two variants in one scenario.

    Parameters
    ----------
    scenario : its label.
    answer : what is said of head beside base.
    offered_rps : the load at which; None for what is of none.
    base_value, head_value : in the figure's unit; None: not measured.
    """

    scenario: str
    answer: Answer
    offered_rps: float | None = None
    base_value: float | None = None
    head_value: float | None = None


@dataclass(slots=True)
class Contrast:
    """What came of comparing two sides.

    Parameters
    ----------
    base, head : titles; head is judged against base.
    paired : whether both were measured in the same rounds.
    invalidating : what makes the comparison doubtful as a whole.
    warnings : what else differs.
    compared : by scenario.
    left_out : what could not be compared, with the reason.
    """

    base: str
    head: str
    paired: bool
    invalidating: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    compared: dict[str, list[Compared]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def compare_sides(base: Side, head: Side) -> Contrast:
    """Compare two sides, scenario by scenario and variant by variant.

    Returns
    -------
    Contrast : with nothing compared where they have nothing in common.
    """
    found = Contrast(base.title, head.title, base.manifest.run_id == head.manifest.run_id)
    if not found.paired:
        found.invalidating, others = differences(base.manifest, head.manifest)
        found.warnings = [OTHER_TIME, *others]
    theirs = {each.label: each for each in head.manifest.plan.scenarios}
    for scenario in base.manifest.plan.scenarios:
        label = scenario.label
        other = theirs.pop(label, None)
        if other is None:
            found.left_out.append(f"{label}: only in {base.title}")
            continue
        mine, its = base.found[label], head.found[label]
        why = unlike(scenario, other)
        if not why and mine.main is not its.main:
            climbed = (base if mine.main is CAPACITY else head).title
            why = f"{climbed} climbed a ladder, the other took turns"
        if why:
            found.left_out.append(f"{label}: {why}")
            continue
        for one, two in _pairs(base, head):
            sides = {(base.title, one): base, (head.title, two): head}
            empty = [
                name
                for (_, name), each in sides.items()
                if name not in each.found[label].capacities
            ]
            if empty:
                names = " and ".join(dict.fromkeys(empty))
                found.left_out.append(f"{label}: no turn of {names}")
                continue
            rows = _rows(base, head, label, one, two, paired=found.paired)
            found.compared.setdefault(label, []).extend(rows)
            for (_, name), each in sides.items():
                found.warnings += each.unsound(label, name)
    found.left_out += [f"{label}: only in {head.title}" for label in theirs]
    return found


def _rows(
    base: Side, head: Side, scenario: str, one: str, two: str, *, paired: bool
) -> Iterator[Compared]:
    """Yield each figure that either has."""
    mine, its = base.found[scenario], head.found[scenario]
    settings = base.manifest.plan.settings
    for metric in (*METRICS, GOODPUT):
        values = [_value(mine, one, metric), _value(its, two, metric)]
        if values == [None, None]:
            continue
        of_load = bool(metric.quantile) or mine.main is CAPACITY
        load = mine.common_rps if of_load and metric is not CAPACITY else None
        if paired:
            answer = mine.compare(metric, one, two, settings)
        elif metric is CAPACITY and mine.main is not CAPACITY:
            continue
        else:
            ratio = None
            if load is None or load == its.common_rps:
                ratio = _unpaired(mine.tables[metric.name], its.tables[metric.name], one, two)
            answer = answer_of(metric, one, two, ratio, settings.equal, settings.half_width)
        yield Compared(scenario, answer, load, *values)


def _value(found: ScenarioFindings, name: str, metric: Metric) -> float | None:
    if metric is CAPACITY:
        return found.capacities[name].rps or None
    table = found.tables.get(metric.name)
    return table.values.get(name) if table is not None else None


def _unpaired(base: Table, head: Table, one: str, two: str) -> Ratio | None:
    """Return the ratio of a variant of one run to one of another; None: there is none."""
    if one not in base.cells or two not in head.cells:
        return None
    slack = head.slack.get(two, Slack()).over(base.slack.get(one, Slack()))
    priors = (base.prior(one), head.prior(two))
    return unpaired_ratio(base.cells[one], head.cells[two], 2, priors, slack)


def _pairs(base: Side, head: Side) -> list[tuple[str, str]]:
    """Return which variant is compared with which: those named, else those of the same label."""
    if base.variant or head.variant:
        return [(base.variant or head.variant, head.variant or base.variant)]
    theirs = {each.label for each in head.manifest.plan.variants}
    ours = [each.label for each in base.manifest.plan.variants]
    return [(label, label) for label in ours if label in theirs]


def unlike(one: PlannedScenario, other: PlannedScenario) -> str:
    """Return why two scenarios of one label are not the same work; empty where they are."""
    for name in ("scenario", "knobs", "mix", "objective", "shape", "websocket", "reach"):
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine != theirs:
            return f"not the same work: {name} {str(mine)[:120]} against {str(theirs)[:120]}"
    return ""


def differences(base: Manifest, head: Manifest) -> tuple[list[str], list[str]]:
    """Return what else differs between two runs.

    Returns
    -------
    First what makes the comparison doubtful as a whole (another machine, other budgets), then what
    a reader should know (seed, windows, versions, services).
    """
    one, other = base.plan.settings, head.plan.settings
    loud: list[Differing] = [
        (f"DIFFERENT MACHINES: {name}", base.machine.get(name), head.machine.get(name))
        for name in MACHINE
    ]
    loud.append(("different budgets of database connections:", one.budget, other.budget))
    theirs = {each.label: each.knobs for each in head.plan.variants}
    loud += [
        (
            f"{each.label} is not the same in both: {name}",
            each.knobs.get(name),
            theirs[each.label].get(name),
        )
        for each in base.plan.variants
        if each.label in theirs
        for name in sorted(each.knobs.keys() | theirs[each.label].keys())
    ]
    quiet: list[Differing] = [("different seeds, so other arrivals:", base.seed, head.seed)]
    quiet += [
        (f"different settings: {name}", getattr(one, name), getattr(other, name))
        for name in ("warmup_s", "turn_s", "connections", "timeout_s")
    ]
    quiet += [
        (f"different versions: {name}", version, head.versions.get(name, "none"))
        for name, version in base.versions.items()
    ]
    services = {each.name: f"{each.kind} {each.version}" for each in head.services}
    quiet += [
        ("different services:", f"{each.kind} {each.version}", services.get(each.name, "none"))
        for each in base.services
    ]
    quiet.append(("different cores:", base.pinning.cores, head.pinning.cores))
    return _differing(loud), _differing(quiet)


def _differing(found: Sequence[Differing]) -> list[str]:
    return [f"{what} {mine} against {its}" for what, mine, its in found if mine != its]


def find_side(name: str, run: str, results: Path) -> Side:
    """Return what a name stands for: a run, ``RUN/VARIANT``, or a variant of the default run.

    Parameters
    ----------
    name : of a run's id or folder, of both, or of a variant.
    run : where variants are looked up that name no run.
    results : the folder of results.

    Raises
    ------
    UsageError : it stands for nothing.
    StoreError : the run cannot be read.
    """
    for place in [len(name), *(at for at, letter in enumerate(name) if letter == "/")]:
        for path in (results / name[:place], Path(name[:place])):
            if (path / "manifest.json").is_file():
                return _side(RunFolder(path.resolve()), name[place + 1 :])
    nothing = f"{name!r} is neither a run under {results} nor a variant of"
    try:
        folder = open_run(results, run)
        known = [each.label for each in folder.manifest().plan.variants]
    except StoreError as error:
        raise UsageError(f"{nothing} {run!r}, which cannot be read: {error}") from error
    if name not in known:
        raise UsageError(f"{nothing} {folder.run_id}; its variants: {', '.join(known)}")
    return _side(folder, name)


def _side(folder: RunFolder, variant: str) -> Side:
    manifest = folder.manifest()
    known = [each.label for each in manifest.plan.variants]
    if variant and variant not in known:
        raise UsageError(f"{folder.run_id} has no variant {variant!r}; it has {', '.join(known)}")
    run = analysed(folder)
    found = {each.scenario: each.findings for each in run.comparisons}
    taken = Counter((each.scenario, each.variant) for each in run.offered)
    used = Counter((each.scenario, each.variant) for each in run.records if each.valid)
    return Side(manifest, found, variant, taken, taken - used)


def contrasts(base: str, heads: Sequence[str], run: str, results: Path) -> tuple[Contrast, ...]:
    """Compare one side with others.

    Parameters
    ----------
    base, heads : names, see :func:`find_side`.
    run, results : as :func:`find_side`.

    Raises
    ------
    UsageError : no such run or variant, nothing in common, or a side against itself.
    StoreError : a run cannot be read.
    """
    one = find_side(base, run, results)
    found = []
    for name in heads:
        other = find_side(name, run, results)
        if one.title == other.title:
            raise UsageError(f"{one.title} is compared with itself; name two runs or variants")
        contrast = compare_sides(one, other)
        if not contrast.compared:
            why = "; ".join(contrast.left_out) or "no scenario and variant is in both"
            raise UsageError(f"{contrast.base} and {contrast.head} have nothing to compare: {why}")
        found.append(contrast)
    return tuple(found)
