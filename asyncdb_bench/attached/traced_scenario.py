"""A scenario file of what was noted: kinds of work as operations, in their shares."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from asyncdb_bench.attached.inserting import GIVEN, new_keys, repeatable
from asyncdb_bench.attached.traced_values import UnwritableError, annotation, cast_of

if TYPE_CHECKING:
    from asyncdb_bench.attached.tracing import Kind

MOST_OPERATIONS = 20
"""The most frequent kinds of work; the rest is left out, and the file says how much that is."""
MOST_ROWS = 10_000
"""Rows of the table that stands in."""
LEAST_SLEEP_MS = 1.0
"""What a statement took below that is mostly the way and the driver, which the scenario has too."""

HEAD = '''"""What an application did in its database in {seconds:.0f} s: {units} units of work.

At most {connections} connections were in use at once: --budget {connections} gives as many.

{left_out}{again}
"""

from __future__ import annotations

{imports}from asyncdb_bench import {names}

'''
AGAIN = """

Keys of new rows that are UUIDs are drawn anew; other rows whose keys are there already are not
inserted again."""
FOOT = '''

class Traced(OwnScenario[ScenarioKnobs]):
    """The mix that was noted."""

    name = "traced"
    summary = "{kinds} kinds of work, as noted"
    tables = {tables}
    asks_for = {{{asks_for}}}
    p99_ms = {p99:g}
    recorded = Recorded("{samples}", beside=__file__)
'''
IMPORTS = {
    "UUID": "from uuid import UUID",
    "uuid4": "from uuid import uuid4",
    "Decimal": "from decimal import Decimal",
    **{each: f"from datetime import {each}" for each in ("date", "datetime", "time", "timedelta")},
}
MOST_TOLD = 12
"""Kinds of work that are left out and named."""
VALUES, TIMES = "values.jsonl", "times.jsonl"


@dataclass(slots=True)
class Traced:
    """A scenario of what was noted.

    Parameters
    ----------
    text : of its file; empty: nothing of it can be sent again.
    samples : rows of the file beside it: of each operation, what its units were.
    left_out : a line for each kind of work that is not in it, with its share and why.
    """

    text: str
    samples: list[dict[str, Any]]
    left_out: list[str]


def traced(kinds: Sequence[Kind], seconds: float, connections: int, dump: str) -> Traced:
    """Return a scenario of what was noted.

    Parameters
    ----------
    kinds : most frequent first.
    seconds : for how long was noted.
    connections : in use at once, at most.
    dump : that the tables come from, with the statements themselves; empty: statements that return
        as many rows, in the same time, stand in for them.
    """
    units = sum(each.count for each in kinds)
    known = [each for each in kinds if each.statements and each.ms]
    samples: list[dict[str, Any]] = []
    operations: list[str] = []
    kept: dict[str, Kind] = {}
    why: dict[int, str] = {}
    for name, kind in zip(operation_names(known), known, strict=True):
        if len(kept) == MOST_OPERATIONS:
            why[id(kind)] = f"rarer than the {MOST_OPERATIONS} that are here"
            continue
        try:
            operation, rows = itself(name, kind) if dump else stand_in(name, kind)
        except UnwritableError as error:
            why[id(kind)] = f"{error} cannot be written"
            continue
        operations.append(operation)
        samples += rows
        kept[name] = kind
    here = {id(each) for each in kept.values()}
    left = [each for each in kinds if id(each) not in here]
    lines = [said(each, units, why.get(id(each), "not told apart any more")) for each in left]
    if not kept:
        return Traced("", [], lines)
    text = "\n\n".join(operations)
    used = ["OwnScenario", "Recorded", "ScenarioKnobs", "Steps", "operation"]
    used += ["Dump", "Tables", "as_sent"] if dump else ["STAND_INS", "stand_in"]
    head = HEAD.format(
        seconds=seconds,
        units=units,
        connections=connections,
        left_out="\n".join(summed(left, units, lines)),
        again=AGAIN if "ON CONFLICT DO NOTHING" in text else "",
        imports=imported(text),
        names=", ".join(sorted(used)),
    )
    foot = FOOT.format(
        kinds=len(kept),
        tables=f'Tables("traced", Dump({dump!r}), beside=__file__)' if dump else "STAND_INS",
        asks_for=", ".join(f"{name}: {kind.count}" for name, kind in kept.items()),
        p99=max([100.0, *(math.ceil(3 * slow_ms(each)) for each in kept.values())]),
        samples=VALUES if dump else TIMES,
    )
    return Traced(head + text + foot, samples, lines)


def summed(left: Sequence[Kind], units: int, lines: Sequence[str]) -> list[str]:
    """Return what the file says of what is left out."""
    if not left:
        return ["All of it is here."]
    count = sum(each.count for each in left)
    more = [f"- and {len(lines) - MOST_TOLD} kinds more"] if len(lines) > MOST_TOLD else []
    return [
        f"Left out: {count} of them, {share(count, units)}:",
        *(f"- {each}" for each in lines[:MOST_TOLD]),
        *more,
    ]


def said(kind: Kind, units: int, why: str) -> str:
    """Return a line about a kind of work that is left out."""
    words = kind.request or " ".join(" ".join(kind.statements[:1]).split()[:4]) or "others"
    plain = re.sub(r"[^\w %.,:;()/*-]", "", words).strip()
    return f"{plain}: {kind.count}, {share(kind.count, units)}: {why}"


def share(count: int, units: int) -> str:
    """Return a part of the units as a percentage."""
    return f"{100 * count / max(1, units):.3g} %"


def imported(text: str) -> str:
    """Return the imports of the types that operations declare."""
    heads = re.findall(r"^def .*$|^    \w+ = uuid4\(\)$", text, re.MULTILINE)
    names = re.findall(r"\w+", " ".join(heads))
    lines = sorted({IMPORTS[each] for each in names if each in IMPORTS})
    return "".join(f"{each}\n" for each in lines) + ("\n" if lines else "")


def slow_ms(kind: Kind) -> float:
    """Return what all but a hundredth of a kind's units took in the database."""
    sums = sorted(map(sum, kind.ms))
    return sums[math.ceil(0.99 * len(sums)) - 1]


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


def _doc(kind: Kind) -> str:
    said = kind.request or "A unit of work"
    count = len(kind.statements)
    held = median(kind.held_ms) if kind.held_ms else 0.0
    return f'    """{said}: {count} statement{"s" * (count > 1)}, {held:.1f} ms held."""\n'


def stand_in(name: str, kind: Kind) -> tuple[str, list[dict[str, Any]]]:
    """Return an operation of stand-ins, and the rows and times of the units that were noted."""
    lines = [
        "@operation(check=lambda asked, answer: answer == sum(asked['rows']),"
        f" rows=lambda asked: sum(asked['rows']), reads={not any(kind.writes)})",
        f"def {name}(rows: list[int], ms: list[float]) -> Steps:",
        _doc(kind) + "    seen = 0",
    ]
    for place, (text, write) in enumerate(zip(kind.statements, kind.writes, strict=True)):
        lines.append(f"    # {text[:90]}")
        lines.append(
            f"    seen += len((yield stand_in(rows[{place}], ms[{place}], write={write})).all())"
        )
    samples = [
        {
            "operation": name,
            "rows": [min(each, MOST_ROWS) for each in rows],
            "ms": [float(f"{each:.3g}") if each >= LEAST_SLEEP_MS else 0 for each in ms],
        }
        for rows, ms in zip(kind.rows, kind.ms, strict=True)
    ]
    return "\n".join([*lines, "    return seen", ""]), samples


def itself(name: str, kind: Kind) -> tuple[str, list[dict[str, Any]]]:
    """Return an operation that sends the statements themselves, and the values of the units.

    Raises
    ------
    UnwritableError : no unit's values could be written, or they fit no type.
    """
    units = [each for each in kind.values if not isinstance(each, str)]
    if not units:
        raise UnwritableError(next(iter(kind.values), "what was not kept"))
    shapes = [tuple(text for text, _ in each) for each in units]
    shape = max(set(shapes), key=shapes.count)
    rows = [
        {
            f"s{place}_{key}": value
            for place, (_, given) in enumerate(unit, 1)
            for key, value in given.items()
        }
        for unit, own in zip(units, shapes, strict=True)
        if own == shape
    ]
    columns = {key: [each[key] for each in rows] for key in rows[0]}
    made = keys_made(shape, columns)
    recorded = {key: values for key, values in columns.items() if key not in made}
    taken = ", ".join(f"{key}: {annotation(values)}" for key, values in recorded.items())
    lines = [
        f"@operation(check=lambda _, answer: answer['rows'] >= 0, reads={not any(kind.writes)})",
        f"def {name}({taken}) -> Steps:",
        _doc(kind) + "    seen = 0",
        *(f"    {key} = {source}" for key, source in made.items()),
    ]
    for place, text in enumerate(shape, 1):
        given = {key: columns[f"s{place}_{key}"] for key in GIVEN.findall(text)}
        casts = {key: cast_of(values) for key, values in given.items()}
        passed = "".join(f", {key}=s{place}_{key}" for key in given)
        lines.append(
            f"    done = yield as_sent({with_casts(repeatable(text, given), casts)!r}{passed})"
        )
        # what returns no rows has none to count
        lines.append("    seen += len(done.all()) if getattr(done, 'returns_rows', True) else 0")
    samples = [{"operation": name, **{key: each[key] for key in recorded}} for each in rows]
    return "\n".join([*lines, '    return {"rows": seen}', ""]), samples


def keys_made(shape: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return the parameters that are keys of new rows, and what they are set to, in order.

    Parameters
    ----------
    shape : the statements.
    columns : the values of their parameters, named ``s1_`` and so on by the statement.
    """
    made: dict[str, str] = {}
    for place, text in enumerate(shape, 1):
        own = {key: columns[f"s{place}_{key}"] for key in GIVEN.findall(text)}
        made |= {f"s{place}_{key}": "uuid4()" for key in new_keys(text, own)}
    first = {tuple(columns[key]): key for key in reversed(made)}
    for key, values in columns.items():
        # a row that belongs to a new one names it by the same key
        known = first.get(tuple(map(_hashable, values)))
        if known is not None and known != key:
            made.pop(key, None)
            made[key] = known
    return made


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def with_casts(text: str, casts: Mapping[str, str]) -> str:
    """Return a statement whose parameters that are text are cast to their types."""

    def cast(found: re.Match[str]) -> str:
        kind = casts[found[1]]
        return f"CAST({found[0]} AS {kind})" if kind else found[0]

    return GIVEN.sub(cast, text)
