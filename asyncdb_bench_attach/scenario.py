"""A scenario file of what was noted: kinds of work as operations, in their shares."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple
from uuid import uuid4

from asyncdb_bench_attach import statements
from asyncdb_bench_attach.statements import UnwritableError

MOST_OPERATIONS = 20
"""The most frequent kinds of work; the rest is left out, and the file says how much that is."""
MOST_ROWS = 10_000
"""Rows of the table that stands in."""
LEAST_SLEEP_MS = 1.0
"""What a statement took below that is mostly the way and the driver, which the scenario has too."""
MOST_TOLD = 12
"""Kinds of work that are left out and named."""
VALUES, TIMES = "values.jsonl", "times.jsonl"

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
CHECKS = (
    "check=lambda asked, answer: answer == sum(asked['rows']),"
    " rows=lambda asked: sum(asked['rows'])",
    "check=lambda _, answer: answer['rows'] >= 0",
)
"""Of an operation of stand-ins, and of one of the statements themselves."""
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


class UnitSample(NamedTuple):
    """A unit of work whose values are kept: for each statement, but how long it held a connection.

    `sent` are the statements with their values by name, or why they cannot be written.
    """

    ms: list[float]
    rows: list[int]
    held_ms: float
    sent: Any


@dataclass(slots=True)
class Kind:
    """A kind of work: the same statements in the same order, for the same kind of request.

    Parameters
    ----------
    request : method and handler or route; empty where it is not known.
    statements : texts without literals.
    writes : which of them change something.
    count : how often.
    beyond : statements that were not noted, in all.
    """

    request: str
    statements: tuple[str, ...]
    writes: tuple[bool, ...]
    count: int = 0
    beyond: int = 0
    samples: list[UnitSample] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """Return what ``trace.json`` says of it: no values."""
        said = {name: getattr(self, name) for name in self.__slots__ if name != "samples"}
        sampled = ("ms", "rows", "held_ms")
        return said | {name: [getattr(e, name) for e in self.samples] for name in sampled}


def traced(
    kinds: Sequence[Kind], seconds: float, connections: int, dump: str
) -> tuple[str, list[dict[str, Any]], list[str]]:
    """Return a scenario of what was noted.

    Parameters
    ----------
    kinds : most frequent first.
    seconds : for how long was noted.
    connections : in use at once, at most.
    dump : that the tables come from, with the statements themselves; empty: statements that return
        as many rows, in the same time, stand in for them.

    Returns
    -------
    The text of its file, empty where nothing of it can be sent again; rows of the file beside it:
    of each operation, what its units were; and a line for each kind of work that is left out, with
    its share and why.
    """
    units = sum(each.count for each in kinds)
    kept: dict[str, Kind] = {}
    operations: list[str] = []
    samples: list[dict[str, Any]] = []
    left: list[str] = []
    for kind in kinds:
        try:
            name, operation, rows = _operation(kind, kept, recorded=bool(dump))
        except UnwritableError as why:
            words = kind.request or " ".join(" ".join(kind.statements[:1]).split()[:4]) or "others"
            plain = re.sub(r"[^\w %.,:;()/*-]", "", words).strip()
            left.append(f"{plain}: {kind.count}, {100 * kind.count / units:.3g} %: {why}")
            continue
        kept[name] = kind
        operations.append(operation)
        samples += rows
    if not kept:
        return "", [], left
    text = "\n\n".join(operations)
    names = ["OwnScenario", "Recorded", "ScenarioKnobs", "Steps", "operation"]
    names += ["Dump", "Tables", "as_sent"] if dump else ["STAND_INS", "stand_in"]
    head = HEAD.format(
        seconds=seconds,
        units=units,
        connections=connections,
        left_out=_left_out(left, units - sum(each.count for each in kept.values()), units),
        again=AGAIN if "ON CONFLICT DO NOTHING" in text else "",
        imports=_imports(text),
        names=", ".join(sorted(names)),
    )
    foot = FOOT.format(
        kinds=len(kept),
        tables=f'Tables("traced", Dump({dump!r}), beside=__file__)' if dump else "STAND_INS",
        asks_for=", ".join(f"{name}: {kind.count}" for name, kind in kept.items()),
        p99=max([100.0, *(math.ceil(3 * _slow_ms(each)) for each in kept.values())]),
        samples=VALUES if dump else TIMES,
    )
    return head + text + foot, samples, left


def _left_out(left: Sequence[str], count: int, units: int) -> str:
    if not left:
        return "All of it is here."
    lines = [f"Left out: {count} of them, {100 * count / units:.3g} %:"]
    lines += [f"- {each}" for each in left[:MOST_TOLD]]
    if len(left) > MOST_TOLD:
        lines.append(f"- and {len(left) - MOST_TOLD} kinds more")
    return "\n".join(lines)


def _imports(text: str) -> str:
    """Return the imports of the types that operations declare."""
    declared = re.findall(r"^def .*$|^    \w+ = uuid4\(\)$", text, re.MULTILINE)
    used = set(re.findall(r"\w+", " ".join(declared)))
    types = [each for each in (*statements.KINDS, uuid4) if each.__name__ in used]
    lines = {f"from {each.__module__} import {each.__name__}\n" for each in types}
    lines = {each for each in lines if "builtins" not in each}
    return "".join([*sorted(lines), "\n" * bool(lines)])


def _slow_ms(kind: Kind) -> float:
    """Return what all but a hundredth of a kind's units took in the database."""
    sums = sorted(sum(each.ms) for each in kind.samples)
    return sums[math.ceil(0.99 * len(sums)) - 1]


def _operation(
    kind: Kind, kept: Collection[str], *, recorded: bool
) -> tuple[str, str, list[dict[str, Any]]]:
    """Return the name of an operation, its text, and a row of values for each of its units.

    Raises
    ------
    UnwritableError : it cannot be in the scenario.
    """
    if not (kind.statements and kind.samples):
        raise UnwritableError("not told apart any more")
    if len(kept) == MOST_OPERATIONS:
        raise UnwritableError(f"rarer than the {MOST_OPERATIONS} that are here")
    parameters, lines, values = _itself(kind) if recorded else _stand_in(kind)
    first = kind.statements[0]
    table = re.findall(r"(?i)\b(?:from|into|update)\s+\"?(\w+)", first)
    words = kind.request or " ".join(first.split()[:1] + table[:1])
    base = re.sub(r"\W+", "_", words).strip("_").lower() or "work"
    base = base[:40] if base[0].isalpha() else f"work_{base}"[:40]
    names = itertools.chain([base], (f"{base}_{number}" for number in itertools.count(2)))
    name = next(each for each in names if each not in kept)
    count = len(kind.statements)
    held_ms = median(each.held_ms for each in kind.samples)
    head = [
        f"@operation({CHECKS[recorded]}, reads={not any(kind.writes)})",
        f"def {name}({parameters}) -> Steps:",
        f'    """{kind.request or "A unit of work"}: {count} statement{"s" * (count > 1)},'
        f' {held_ms:.1f} ms held."""',
        "    seen = 0",
    ]
    text = "\n".join([*head, *lines, ""])
    return name, text, [{"operation": name, **each} for each in values]


def _stand_in(kind: Kind) -> tuple[str, list[str], list[dict[str, Any]]]:
    """Return an operation of stand-ins, and the rows and times of the units that were noted."""
    lines = []
    for place, (text, write) in enumerate(zip(kind.statements, kind.writes, strict=True)):
        lines.append(f"    # {text[:90]}")
        lines.append(
            f"    seen += len((yield stand_in(rows[{place}], ms[{place}], write={write})).all())"
        )
    samples = [
        {
            "rows": [min(each, MOST_ROWS) for each in sample.rows],
            "ms": [float(f"{each:.3g}") if each >= LEAST_SLEEP_MS else 0 for each in sample.ms],
        }
        for sample in kind.samples
    ]
    return "rows: list[int], ms: list[float]", [*lines, "    return seen"], samples


def _itself(kind: Kind) -> tuple[str, list[str], list[dict[str, Any]]]:
    """Return an operation that sends the statements themselves, and the values of the units.

    Raises
    ------
    UnwritableError : no unit's values could be written, or they fit no type.
    """
    units = [each.sent for each in kind.samples if not isinstance(each.sent, str)]
    if not units:
        raise UnwritableError(kind.samples[0].sent)
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
    made = _keys_made(shape, columns)
    recorded = {key: values for key, values in columns.items() if key not in made}
    lines = [f"    {key} = {source}" for key, source in made.items()]
    for place, text in enumerate(shape, 1):
        given = _given(text, place, columns)
        sent = statements.repeatable(text, given)
        for key, values in given.items():
            cast = next((each.cast for each in values if isinstance(each, statements.Text)), "")
            if cast:
                sent = re.sub(rf"(?<![\\\w]):{key}\b", f"CAST(:{key} AS {cast})", sent)
        passed = "".join(f", {key}=s{place}_{key}" for key in given)
        lines.append(f"    done = yield as_sent({sent!r}{passed})")
        # what returns no rows has none to count
        lines.append("    seen += len(done.all()) if getattr(done, 'returns_rows', True) else 0")
    taken = ", ".join(f"{key}: {statements.annotation(values)}" for key, values in recorded.items())
    samples = [{key: each[key] for key in recorded} for each in rows]
    return taken, [*lines, '    return {"rows": seen}'], samples


def _given(text: str, place: int, columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return the values of a statement's parameters, which are named by its place, too."""
    return {key: columns[f"s{place}_{key}"] for key in statements.GIVEN.findall(text)}


def _keys_made(shape: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return the parameters that are keys of new rows, and what they are set to, in order.

    Parameters
    ----------
    shape : the statements.
    columns : the values of their parameters, named ``s1_`` and so on by the statement.
    """
    made = {
        f"s{place}_{key}": "uuid4()"
        for place, text in enumerate(shape, 1)
        for key in statements.new_keys(text, _given(text, place, columns))
    }
    first = {repr(columns[key]): key for key in reversed(made)}
    for key, values in columns.items():
        # a row that belongs to a new one names it by the same key
        known = first.get(repr(values))
        if known is not None and known != key:
            made.pop(key, None)
            made[key] = known
    return made
