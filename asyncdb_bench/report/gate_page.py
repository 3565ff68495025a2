"""A gate's result -> one HTML page. Computes nothing; escapes everything."""

from __future__ import annotations

from asyncdb_bench.gate import GateResult
from asyncdb_bench.gatefiles import SENTENCES, change, change_interval
from asyncdb_bench.report.compare_page import percent, signed
from asyncdb_bench.report.drawing import svg_markup
from asyncdb_bench.report.forest import forest, gate_rows
from asyncdb_bench.report.page import templates


def render_gate(result: GateResult, has_report: bool) -> str:
    """Return a gate's result as one self-contained HTML page.

    Parameters
    ----------
    result : the decisions.
    has_report : whether the run's own report lies beside it.
    """
    environment = templates()
    environment.filters |= {
        "percent": percent,
        "signed": signed,
        "svg": svg_markup,
        "change": change,
        "interval": change_interval,
    }
    scenarios = list(dict.fromkeys(cell.scenario for cell in result.cells))
    by_scenario = {
        name: [cell for cell in result.cells if cell.scenario == name] for name in scenarios
    }
    band = 1 + result.rules.least
    figures = {n: forest(gate_rows(cells), n, band) for n, cells in by_scenario.items()}
    return environment.get_template("gate.html.j2").render(
        result=result,
        by_scenario=by_scenario,
        figures=figures,
        sentence=SENTENCES[result.verdict],
        has_report=has_report,
    )
