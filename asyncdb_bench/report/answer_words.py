"""Answers as a table's cells: a ratio, its interval, and what is said of it. Pure."""

from __future__ import annotations

from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.analysis.metric_table import Answer
from asyncdb_bench.analysis.verdict import percent, ratio_words


def ratio_text(each: Answer) -> str:
    """Return a ratio with its interval."""
    assert each.ratio is not None
    return ratio_words(each.ratio)


def said_text(each: Answer) -> str:
    """Return an answer in a word or two."""
    if each.said is Said.SAME and each.ratio is not None:
        return f"the same within {percent(each.ratio.within)}"
    return str(each.said)


def beside_text(each: Answer | None) -> str:
    """Return a figure beside the best: the ratio, and what is said of it."""
    if each is None or each.ratio is None:
        return "not compared"
    return f"{ratio_text(each)}, {said_text(each)}"
