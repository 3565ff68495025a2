"""``python -m tests.faults``: try the matrix of faults and write its table.

About an hour with two cases at a time on two cores. ``--only TEXT`` tries the cases whose names
contain a text; ``--table FILE`` writes the table into a document, between its markers.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tests.faults.cases import SHORT, STRATEGIES, Case, all_cases
from tests.faults.strike import Outcome, Struck, judged
from tests.faults.table import totals, written

UNHARMED = [Case(strategy, "none", "none", "never") for strategy in STRATEGIES]


def tried(case: Case, keep: Path | None) -> Outcome:
    """Try one case in folders of its own."""
    folder = Path(tempfile.mkdtemp(prefix="fault-"))
    try:
        outcome = Struck(case, folder).run()
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return outcome


def main() -> int:
    """Try the cases; the exit code is 1 where one did not survive."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", default="", help="cases whose names contain this")
    parser.add_argument("--short", action="store_true", help="those that CI tries")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    parser.add_argument("--table", type=Path, help="document to write the table into")
    parser.add_argument("--lines", type=Path, help="file for a line of JSON per case")
    parser.add_argument("--of", type=Path, nargs="*", help="table of these lines, trying nothing")
    parser.add_argument("--keep", type=Path, help="keep each case's folder (any value)")
    options = parser.parse_args()
    if options.of:
        outcomes = [each for file in options.of for each in outcomes_of(file)]
        print(totals(list({each.case: each for each in outcomes}.values())))
        options.table.write_text(written(options.table.read_text(), outcomes))
        return 0
    cases = [
        each for each in (SHORT if options.short else all_cases()) if options.only in str(each)
    ]
    with ThreadPoolExecutor(options.jobs) as pool:
        healthy = list(pool.map(lambda case: tried(case, options.keep), UNHARMED))
        paces = {each.case.strategy: each.paces for each in healthy}
        print(f"unharmed: {paces}", flush=True)
        outcomes = []
        for outcome in pool.map(lambda case: tried(case, options.keep), cases):
            judged(outcome, paces[outcome.case.strategy])
            outcomes.append(outcome)
            print(line_of(outcome), flush=True)
            if options.lines:
                with options.lines.open("a") as file:
                    file.write(json.dumps(asdict(outcome)) + "\n")
    print(totals(outcomes))
    if options.table:
        options.table.write_text(written(options.table.read_text(), outcomes))
    return 0 if all(each.survived for each in outcomes) else 1


def outcomes_of(file: Path) -> list[Outcome]:
    """Return the outcomes that a file of lines holds."""
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return [Outcome(**(row | {"case": Case(**row["case"])})) for row in rows]


def line_of(outcome: Outcome) -> str:
    """Return a case's line for the terminal."""
    said = "survived" if outcome.survived else f"NOT SURVIVED: {outcome.wrong} {outcome.left}"
    if not outcome.struck:
        said = f"NOT STRUCK: {outcome.output[-300:]}"
    out = f", not measured: {', '.join(outcome.out)}" if outcome.out else ""
    return f"{outcome.case}: exit {outcome.code}, {said}{out} ({outcome.seconds:.0f} s)"


if __name__ == "__main__":
    raise SystemExit(main())
