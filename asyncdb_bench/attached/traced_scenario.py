"""A scenario file of what was noted: kinds of work as operations, in their shares."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from asyncdb_bench.attached.statement_text import is_write

if TYPE_CHECKING:
    from asyncdb_bench.attached.tracing import Kind

MOST_OPERATIONS = 20
"""The most frequent kinds of work; the rest is left out, and the file says how much that is."""
LEAST_SLEEP_MS = 1.0
"""What a statement took below that is mostly the way and the driver, which the scenario has too."""

HEAD = '''"""What an application did in its database in {seconds:.0f} s: {units} units of work.

At most {connections} connections were in use at once: --budget {connections} gives as many.

{left_out}
"""

from __future__ import annotations

from asyncdb_bench import {names}

'''
FOOT = '''

class Traced(OwnScenario[ScenarioKnobs]):
    """The mix that was noted."""

    name = "traced"
    summary = "{kinds} kinds of work, as noted"
    tables = {tables}
    asks_for = {{{asks_for}}}
    p99_ms = {p99:g}
{more}'''


def scenario_text(
    kinds: Sequence[Kind], seconds: float, connections: int, dump: str
) -> tuple[str, list[dict[str, Any]]]:
    """Return the text of a scenario, and rows for its file of recorded values.

    Parameters
    ----------
    kinds : most frequent first.
    seconds : for how long was noted.
    connections : in use at once, at most.
    dump : that the tables come from, with the statements themselves; empty: statements that return
        as many rows, in the same time, stand in for them.
    """
    known = [each for each in kinds if each.statements and each.ms][:MOST_OPERATIONS]
    names = operation_names(known)
    values: list[dict[str, Any]] = []
    operations: list[str] = []
    weights: list[str] = []
    for name, kind in zip(names, known, strict=True):
        made = _itself(name, kind, values) if dump else _stand_in(name, kind)
        if made:
            operations.append(made)
            weights.append(f"{name}: {kind.count}")
    units = sum(each.count for each in kinds)
    told = sum(int(each.rpartition(" ")[2]) for each in weights)
    left_out = (
        "All of it is here."
        if told == units
        else f"Left out: {units - told} of them, rarer or not to be sent again."
    )
    used = ["OwnScenario", "ScenarioKnobs", "Steps", "operation"]
    used += ["Dump", "Recorded", "Tables", "sql"] if dump else ["STAND_INS", "stand_in"]
    p99 = max([100.0, *(3 * sum(map(median, zip(*each.ms, strict=True))) for each in known)])
    text = HEAD.format(
        seconds=seconds,
        units=units,
        connections=connections,
        left_out=left_out,
        names=", ".join(sorted(used)),
    )
    text += "\n\n".join(operations)
    text += FOOT.format(
        kinds=len(weights),
        tables=f'Tables("traced", Dump("{dump}"), beside=__file__)' if dump else "STAND_INS",
        asks_for=", ".join(weights),
        p99=round(p99),
        more='    recorded = Recorded("values.jsonl", beside=__file__)\n' if dump else "",
    )
    return text, values


def operation_names(kinds: Sequence[Kind]) -> list[str]:
    """Return a name for each kind: of its request, else of its first statement; each once."""
    found: list[str] = []
    for kind in kinds:
        words = kind.request or " ".join(kind.statements[0].split()[:1] + _tables(kind))
        base = re.sub(r"\W+", "_", words.replace("{n}", "n")).strip("_").lower() or "work"
        base = base[:40] if base[0].isalpha() else f"work_{base}"[:40]
        name, number = base, 2
        while name in found:
            name, number = f"{base}_{number}", number + 1
        found.append(name)
    return found


def _tables(kind: Kind) -> list[str]:
    found = re.findall(r"(?i)\b(?:from|into|update)\s+\"?(\w+)", kind.statements[0])
    return found[:1]


def _typical(kind: Kind) -> tuple[list[int], list[float]]:
    rows = [round(median(each)) for each in zip(*kind.rows, strict=True)]
    ms = [median(each) for each in zip(*kind.ms, strict=True)]
    return rows, ms


def _doc(kind: Kind) -> str:
    said = kind.request or "A unit of work"
    count = len(kind.statements)
    held = median(kind.held_ms) if kind.held_ms else 0.0
    return f'    """{said}: {count} statement{"s" * (count > 1)}, {held:.1f} ms held."""\n'


def _stand_in(name: str, kind: Kind) -> str:
    rows, ms = _typical(kind)
    lines = [
        f"@operation(check=lambda _, answer: answer == {sum(rows)}, rows={sum(rows)},"
        f" reads={not any(kind.writes)})",
        f"def {name}() -> Steps:",
        _doc(kind) + "    seen = 0",
    ]
    for text, write, count, took in zip(kind.statements, kind.writes, rows, ms, strict=True):
        slept = took if took >= LEAST_SLEEP_MS else 0
        lines.append(f"    # {text[:90]}")
        lines.append(
            f"    seen += len((yield stand_in({count}, {slept:.3g}, write={write})).all())"
        )
    return "\n".join([*lines, "    return seen", ""])


def _itself(name: str, kind: Kind, values: list[dict[str, Any]]) -> str:
    """Return an operation that sends the statements themselves; empty: they cannot be sent again.

    Its values go to `values`: a row for each sample.
    """
    samples = [each for each in kind.values if each]
    shapes = [tuple(text for text, _ in each) for each in samples]
    if not samples:
        return ""
    shape = max(set(shapes), key=shapes.count)
    types: dict[str, set[type]] = {}
    for sample, own in zip(samples, shapes, strict=True):
        if own != shape:
            continue
        row = {
            f"s{place}_{key}": value
            for place, (_, given) in enumerate(sample, 1)
            for key, value in given.items()
        }
        for key, value in row.items():
            types.setdefault(key, set()).add(type(value))
        values.append({"operation": name, **row})
    taken = ", ".join(f"{key}: {_annotation(kinds)}" for key, kinds in types.items())
    lines = [
        f"@operation(check=lambda _, answer: answer['rows'] >= 0, reads={not any(kind.writes)})",
        f"def {name}({taken}) -> Steps:",
        _doc(kind) + "    seen = 0",
    ]
    for place, text in enumerate(shape, 1):
        given = re.findall(r"(?<![\\\w]):(\w+)", text)
        passed = "".join(f", {key}=s{place}_{key}" for key in dict.fromkeys(given))
        lines.append(f"    done = yield sql({text!r}{passed})")
        if not is_write_text(text):
            lines.append("    seen += len(done.all())")
    return "\n".join([*lines, '    return {"rows": seen}', ""])


def is_write_text(text: str) -> bool:
    """Return whether a statement returns no rows: it writes, and does not say RETURNING."""
    return is_write(text) and " returning " not in f" {text.lower()} "


def _annotation(kinds: set[type]) -> str:
    order = (bool, int, float, str)
    named = [each.__name__ for each in order if each in kinds]
    if {int, float} <= kinds:
        named.remove("int")
    return " | ".join([*named, *(["None"] if type(None) in kinds else [])]) or "None"
