"""Results of schema 2 as schema 3 reads them: the one place that knows the earlier format.

Sentences become doubts of the kind ``recorded``, parts by role become parts, and what a label said
of the request is written down.
"""

from __future__ import annotations

from typing import Any

from asyncdb_bench.records.sentences import unsteady

Raw = dict[str, Any]


def upgraded_manifest(raw: Raw) -> Raw:
    """Return a manifest of schema 2 as one of schema 3."""
    plan = raw["plan"]
    variants = [_variant(each) for each in plan["variants"]]
    scenarios = [_scenario(each) for each in plan["scenarios"]]
    plan = plan | {"variants": variants, "scenarios": scenarios}
    return raw | {"schema_version": 3, "written_as": raw["schema_version"], "plan": plan}


def upgraded_step(raw: Raw) -> Raw:
    """Return a step of schema 2 as one of schema 3."""
    drifted = f"not steady: {unsteady(raw.get('drift'))}"
    notes = [note for note in raw.get("notes", []) if note != drifted]
    return raw | {
        "reasons": _doubts(raw["reasons"]),
        "misses": _doubts(raw["misses"]),
        "notes": _doubts(notes),
    }


def upgraded_end(raw: Raw) -> Raw:
    """Return a trial's end of schema 2 as one of schema 3."""
    return raw | {name: _doubts(raw.get(name, [])) for name in ("reasons", "notes")}


def upgraded_gate(raw: Raw) -> Raw:
    """Return a gate's result of schema 2 as one of schema 3."""
    if "cells" not in raw:
        return raw
    decisions = [{**cell, "interim": cell["look"]} for cell in raw["cells"]]
    return raw | {"decisions": decisions}


def _doubts(texts: list[str]) -> list[Raw]:
    return [{"kind": "recorded", "subject": text} for text in texts]


def _variant(raw: Raw) -> Raw:
    """Return a variant; its request was its label without an A/A's number and without a fault."""
    knobs = raw["label"].partition("!")[0].partition("#")[0].partition(":")[2]
    elsewhere = raw.get("elsewhere")
    name = f"{raw['strategy']}@{elsewhere['path']}" if elsewhere else raw["strategy"]
    parts = raw.get("parts", {})
    listed = [{"role": role, "module": "", "options": {}, "copies": n} for role, n in parts.items()]
    return raw | {"parts": listed, "request": f"{name}:{knobs}" if knobs else name}


def _scenario(raw: Raw) -> Raw:
    knobs = raw["label"].partition(":")[2]
    request = f"{raw['scenario']}:{knobs}" if knobs else raw["scenario"]
    more: Raw = {"request": request}
    if raw["scenario"] == "sweep":
        more["cell"] = [raw["knobs"]["ms"], raw["knobs"]["fetch"]]
    if raw.get("websocket"):
        more["counted"] = ["post"]
    return raw | more
