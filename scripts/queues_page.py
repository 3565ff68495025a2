"""The tables of docs/queues.md, made of what scripts/queues.py measured. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
Kept = Mapping[str, Any]
SERVERS = {
    "celery": "RabbitMQ",
    "celery_aio": "RabbitMQ",
    "taskiq:over=rabbitmq": "RabbitMQ, Redis",
    "procrastinate": "–",
    "executor": "–",
}
"""What is run beside PostgreSQL, the application and a worker; usually Redis."""


def written(text: str, kept: Kept) -> str:
    """Return a page with its tables between their markers."""
    for name, make in (("pace", pace_table), ("faults", fault_table)):
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{make(kept)}\n{end}{after}"
    return text


def pace_table(kept: Kept) -> str:
    """Return what each did in each run, or that it was not measured."""
    runs = kept.get("runs", {})
    lines = []
    for run, each in runs.items():
        scenarios = list(dict.fromkeys(row["scenario"] for row in each["rows"]))
        heads = [f"{name}: {what}" for name in scenarios for what in ("pace", "p50 / p99", "CPU")]
        lines += [f"**{run}** ({each['day']}, {each['seconds']:g} s)", ""]
        lines += _row(["", *heads]), _row(["---"] * (len(heads) + 1))
        variants = dict.fromkeys(row["variant"] for row in each["rows"])
        for variant in variants:
            cells = [cell for name in scenarios for cell in _cells(each["rows"], variant, name)]
            lines.append(_row([f"`{variant}`", *cells]))
        lines.append("")
    return "\n".join(lines or ["Not measured yet.", ""])


def _cells(rows: Sequence[Kept], variant: str, scenario: str) -> list[str]:
    own = [each for each in rows if (each["variant"], each["scenario"]) == (variant, scenario)]
    pace = next((each for each in own if each["pace_rps"] and each["capacity_rps_low"]), None)
    cpu = next((each["cpu_ms_net"] for each in own if each["cpu_ms_net"]), None)
    load = next((each for each in own if each["at_common_load"] and each["p50_ms"]), None)
    latency = f"{load['p50_ms']:.3g} / {load['p99_ms']:.3g}" if load else "–"
    # a pace of one round has no interval, and says nothing
    paces = pace and [pace[each] for each in ("pace_rps", "capacity_rps_low", "capacity_rps_high")]
    said = "{:.3g}/s ({:.3g} to {:.3g})".format(*paces) if paces else "–"
    return [said, latency, "–" if cpu is None else f"{cpu:.3g}"]


def fault_table(kept: Kept) -> str:
    """Return what was seen of each: commands, faults, what is left."""
    heads = [
        *("", "lines", "servers", "commands a task, alone / 16 at once"),
        *("SIGTERM in a task", "worker killed in a task", "broker stalls 3 s", "restarts"),
        "left of a result",
    ]
    lines = [_row(heads), _row(["---"] * len(heads))]
    for name, seen in kept.get("faults", {}).items():
        strategy = name.partition(":")[0]
        counted = seen["commands"]
        commands = f"{counted['alone']:.0f} / {counted['together']:.0f}"
        if strategy == "celery":
            commands = "–"
        if name.endswith("rabbitmq"):
            commands += " at Redis"
        lines.append(
            _row(
                [
                    f"`{name}`",
                    str(_lines(strategy)),
                    SERVERS.get(name, "Redis"),
                    commands,
                    _ended(seen),
                    _became(seen["killed"]),
                    _stalled(seen.get("stalled")),
                    _restarted(seen),
                    _left(seen["left"]),
                ]
            )
        )
    return "\n".join(lines)


def _ended(seen: Kept) -> str:
    after_s = seen["term_s"]
    how = f"ends after {after_s:.1f} s" if after_s is not None else "ignored for 6 s, then killed"
    return f"{how}: {_became(seen['terminated'])}"


def _became(seen: Kept) -> str:
    if seen["status"] != 200:
        return f"lost ({seen['status']} after {seen['seconds']:.1f} s)"
    again = seen["seconds"] > 2.2
    return f"run again, {seen['seconds']:.1f} s" if again else "answered"


def _stalled(seen: Kept | None) -> str:
    if seen is None:
        return "–"
    back = "never" if seen["back_s"] is None else f"{seen['back_s']:.1f} s"
    return f"loop held {seen['loop_s'] * 1000:.0f} ms, back after {back}"


def _restarted(seen: Kept) -> str:
    if seen["restarted_s"] is None:
        return "its worker ends" if seen["worker_ended"] else "not back in 25 s"
    return f"back after {seen['restarted_s']:.1f} s"


def _left(seen: Kept) -> str:
    if not seen["keys"]:
        return "nothing"
    forever = f", {seen['forever']} of them for ever" if seen["forever"] else ""
    return f"{seen['keys']} keys of 200 tasks, for {seen['usual_s']:.0f} s{forever}"


def _lines(strategy: str) -> int:
    (path,) = (ROOT / "strategies").rglob(f"{strategy}.py")
    return len(path.read_text().splitlines())


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
