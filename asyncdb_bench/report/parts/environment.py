"""The environment of the figures, the words of the page, and where the raw data lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from asyncdb_bench.analysis.decision import trip_rows
from asyncdb_bench.plan.variants import fault_label
from asyncdb_bench.records.run import Calibration, Manifest
from asyncdb_bench.report.document import (
    Block,
    Data,
    Facts,
    Fold,
    Section,
    Text,
    folded,
    row_of,
    table_of,
)
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.text import PROGRAM, counted, listed, number

GUIDE = (
    (
        "offered-load",
        "Offered load",
        "Requests that arrive per second, at random times drawn beforehand, the same for all.",
    ),
    (
        "omission",
        "Coordinated omission",
        "A client that waits for an answer before it asks again leaves out requests that would"
        " have met a stuck server. Here latency counts from when a request was due.",
    ),
    (
        "percentile",
        "p50, p95, p99",
        "Half, 95 and 99 of 100 requests were answered within this time, those that timed out"
        " included.",
    ),
    (
        "pace",
        "Pace",
        "Requests a second from connections that ask again at once: the figure with the least"
        " noise.",
    ),
    (
        "capacity",
        "Capacity, objective",
        "The highest offered load at which the objective (p99 below so much) held.",
    ),
    (
        "goodput",
        "Goodput",
        "Right answers in time: before their clients gave up. Its share is of what the variant's"
        " own pace allows, from the overload's begin to the end of the turn.",
    ),
    (
        "interval",
        "Ratio, interval, the same, not known",
        "Ratios are taken within rounds. In 95 of 100 such runs the intervals of a scenario hold"
        " the true values of all pairs. Better or worse: it leaves out 1. The same within 4 %: two"
        " differ by no more. Not known: neither is shown. Not sound: what is doubtful could turn"
        " it.",
    ),
    (
        "launch",
        "Launch, round, turn",
        "A launch starts all variants afresh. In each round every variant has its turn, in random"
        " order, the others paused.",
    ),
    (
        "lag",
        "Loop lag, probe",
        "How long anything else on the event loop waits: from inside, and by a request without"
        " database work from outside.",
    ),
    (
        "cpu",
        "CPU a request",
        "Of application, workers and broker at full speed, without what they use at rest (gross:"
        " with it).",
    ),
    (
        "budget",
        "Budget",
        "Database connections that a variant may use at once, all its processes together.",
    ),
    (
        "ceiling",
        "Ceiling by theory",
        "How many requests a resource could serve if it were never idle: its number over the time"
        " that each request holds it.",
    ),
    (
        "needs",
        "How many of each",
        "Little's law with the measured times, each busy 70 % at most. More processes: CPU time"
        " alone would take 90 % of the cores.",
    ),
    (
        "valid",
        "Valid",
        "The client kept its schedule, every request is accounted for, the database counted the"
        " same work.",
    ),
)
"""Anchor, word and explanation."""


def guide_section(*, overload: bool = False) -> Section:
    """Return the words, each explained once; goodput where there is an overload."""
    words = [each for each in GUIDE if overload or each[0] != "goodput"]
    facts = Facts(
        tuple((word, text) for _, word, text in words),
        tuple(f"guide-{anchor}" for anchor, _, _ in words),
    )
    line = counted(len(words), "word")
    return folded(Fold(id="guide", title="Reading guide", line=line, blocks=(facts,)), "Guide")


def environment_section(found: Findings) -> Section:
    """Return where and with what it was measured."""
    manifest, settings = found.manifest, found.manifest.plan.settings
    machine = manifest.machine
    memory = machine.get("memory_mb", 0)
    items = [
        (
            "machine",
            f"{machine['cpu']}; {machine['cores']} cores; {memory:,} MB; {machine['kernel']};"
            f" governor {machine['governor']}; load before {machine['load_before']}",
        )
    ]
    for service in manifest.services:
        more = "".join(f"; {key}={value}" for key, value in service.settings.items())
        items.append((service.name, f"{service.kind} {service.version}, {service.source}{more}"))
    dirty = " with changes" if manifest.git.get("dirty") else ""
    items += [
        (each.label, listed(each.elsewhere.differing(manifest.versions)) or "the same versions")
        for each in manifest.plan.variants
        if each.elsewhere is not None
    ]
    items += [
        ("versions", ", ".join(f"{name} {v}" for name, v in manifest.versions.items())),
        ("revision", f"{manifest.git.get('revision') or 'not a git checkout'}{dirty}"),
        ("cores", _cores(manifest)),
        ("load generator", _calibrated(manifest.calibration)),
        ("load processes", _load(found)),
        ("hosts", _hosts(manifest)),
        ("round trips", _trips(found)),
        (
            "plan",
            f"seed {manifest.seed}; {counted(settings.blocks, 'launch', 'launches')}; warm-up"
            f" {settings.warmup_s} s; turns of {number(settings.turn_s)} s; windows"
            f" {settings.window_s} to {settings.window_max_s} s; drain {settings.drain_s} s;"
            f" timeout {settings.timeout_s} s",
        ),
    ]
    postgres = next(
        (f"PostgreSQL {s.version}" for s in manifest.services if "postgres" in s.kind), ""
    )
    line = ", ".join(filter(None, (f"{machine['cores']} cores", postgres, f"seed {manifest.seed}")))
    blocks: list[Block] = [
        Facts(tuple((name, text) for name, text in items if text)),
        Text("Repeat it with the same arrivals:", code=repeat_command(manifest)),
    ]
    if manifest.calibration is not None:
        blocks.append(_calibration(manifest.calibration))
    title = "Environment and method"
    fold = Fold(id="environment", title=title, line=line, blocks=tuple(blocks))
    return folded(fold, "Environment")


def _hosts(manifest: Manifest) -> str:
    """Return the machines that played a role; empty: this one alone."""
    return "; ".join(
        f"{name}: {listed(each['roles'])} on {each['cpu']}, {each['cores']} cores"
        for name, each in manifest.hosts.items()
    )


def _load(found: Findings) -> str:
    """Return the processes that offered the load, and how far apart they began; empty: one did."""
    workers = [each for step in found.records for each in step.load]
    if not workers:
        return ""
    names = {(each.name, each.host) for each in workers}
    places = Counter(host for _, host in sorted(names, key=lambda each: each[1]))
    where = listed([f"{count} on {host}" for host, count in places.items()])
    apart = max(each.apart_ms for each in workers)
    offset = max(abs(each.offset_ms) for each in workers)
    return (
        f"{counted(len(names), 'Locust worker')}: {where}; agreed on the start of a window"
        f" to within {number(apart)} ms; clocks differ by up to {number(offset)} ms"
    )


def _cores(manifest: Manifest) -> str:
    pinned = manifest.pinning
    said = ", ".join(f"{role} {'+'.join(map(str, cores))}" for role, cores in pinned.cores.items())
    return "; ".join(filter(None, (said, pinned.problem)))


def _calibrated(found: Calibration | None) -> str:
    if found is None:
        return f"not calibrated on this machine: {PROGRAM} calibrate"
    stolen = (
        f"; the hypervisor took {found.stolen:.0%} of the CPU time asked for"
        if found.stolen > 0.01
        else ""
    )
    rate = number(found.max_rps)
    return f"calibrated {found.measured_at}: keeps its schedule up to {rate}/s{stolen}"


def _calibration(found: Calibration) -> Data:
    rows = [row_of(f"send lag p99 at {at} %, ms", lag.p99_ms) for at, lag in found.send_lag.items()]
    rows += [
        row_of(f"recording error, {each.distribution}, {level}, ms", number(value, 2))
        for each in found.errors
        for level, value in each.error_ms.items()
    ]
    return Data("calibration", table_of("calibration", "load generator | measured", rows))


def _trips(found: Findings) -> str:
    rows = trip_rows(found.comparisons)
    if len(rows) > MOST_TRIPS:
        rows = [row for row in rows if not found.asked[row["scenario"]].aside][:MOST_TRIPS]
    if not rows:
        return ""
    scenarios: dict[str, list[str]] = {}
    for row in rows:
        # those that share a launch share its round trips
        scenarios.setdefault(_trip(row), []).append(row["scenario"])
    return "measured before and after each launch: " + "; ".join(
        f"{listed(list(dict.fromkeys(names)))}: {trip}" for trip, names in scenarios.items()
    )


def _trip(row: Mapping[str, Any]) -> str:
    asked = f"; asked for {number(row['asked_ms'])}" if row["asked_ms"] else ""
    low_high = f"{row['low_ms']:.2f} to {row['high_ms']:.2f}"
    return f"{row['to']} {row['median_ms']:.2f} ms ({low_high}{asked})"


MOST_TRIPS = 12


def raw_section(manifest: Manifest) -> Section:
    """Return where the data lies."""
    facts = Facts(
        (
            ("manifest.json", "plan, seed, machine, versions, services, knobs"),
            ("steps.jsonl", "a line per turn, written as it ended; all here follows from it"),
            ("requests.parquet", "a row per request: intended, sent, done, status, phases, µs"),
            ("series.parquet", "loop lag, probe, queues, pool, CPU, memory over time"),
            ("summary.json", "these tables as data (docs/summary.schema.json)"),
        )
    )
    where = Text("In", code=f"results/{manifest.run_id}/")
    again = f"{PROGRAM} report {manifest.run_id} --figures"
    blocks = (where, facts, Text("Figures as PNG and SVG:", code=again))
    line = f"schema {manifest.schema_version}"
    return folded(Fold(id="raw", title="Raw data", line=line, blocks=blocks), "Raw data")


def repeat_command(manifest: Manifest) -> str:
    """Return the command that asks for the same again, with the same arrivals."""
    plan = manifest.plan
    faults = [each.fault for each in plan.variants if each.fault is not None]
    strategies = ",".join(each.request for each in plan.variants if each.fault is None)
    scenarios = ",".join(each.request for each in plan.scenarios if not each.beside)
    settings = plan.settings
    if any(each.target is not None for each in plan.variants):
        targets = " ".join(f"--target {each.request}" for each in plan.variants)
        return (
            f"{PROGRAM} run --profile {settings.profile} {targets} --scenario {scenarios}"
            f" --seed {manifest.seed} --time-budget {settings.time_budget_s:g}"
        )
    reach = f" --rtt {settings.rtt_ms:g}"
    if settings.broker_rtt_ms:
        reach += f" --broker-rtt {settings.broker_rtt_ms:g}"
    if settings.via != "direct":
        reach += f" --via {settings.via}"
    more = " --tls" if settings.tls else ""
    more += f" --inject {fault_label(faults[0])}" if faults else ""
    more += f" --cpus {settings.cpus}" if settings.cpus != "auto" else ""
    if settings.load_processes != 1:
        more += f" --load-processes {settings.load_processes}"
    if settings.expect_load_workers:
        more += f" --expect-load-workers {settings.expect_load_workers}"
    more += " --hosts YOUR-FILE" if plan.hosts.all else ""
    return (
        f"{PROGRAM} run --profile {settings.profile} --strategy {strategies}"
        f" --scenario {scenarios} --seed {manifest.seed}"
        f" --budget {settings.budget} --time-budget {settings.time_budget_s:g}{reach}{more}"
    )
