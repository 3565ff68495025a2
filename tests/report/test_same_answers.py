"""Of the stored reference run, the report and `compare` say the same of every pair and figure."""

from __future__ import annotations

import itertools
from dataclasses import replace

from asyncdb_bench.records.run_folder import RunFolder
from asyncdb_bench.report.document import Pair
from asyncdb_bench.report.sides import Side, compare_sides
from asyncdb_bench.report.write import Written

SHOWN = 4
"""Digits of a ratio on a page."""


Said = dict[tuple[str, str, str, str], tuple[str, ...]]
"""By scenario, figure, base and other: ratio and bounds as shown, and the answer."""


def shown(*values: float | None, said: str) -> tuple[str, ...]:
    return (*("–" if each is None else f"{each:.{SHOWN}g}" for each in values), said)


def said_by_compare(written: Written) -> Said:
    whole = Side(written.manifest, {each.scenario: each.findings for each in written.comparisons})
    found: Said = {}
    for base, head in itertools.permutations([v.label for v in written.manifest.plan.variants], 2):
        contrast = compare_sides(replace(whole, variant=base), replace(whole, variant=head))
        for row in itertools.chain.from_iterable(contrast.compared.values()):
            each = row.answer
            if each.ratio is not None:
                low, high = each.ratio.bounds or (None, None)
                key = (row.scenario, each.metric.name, base, head)
                found[key] = shown(each.ratio.ratio, low, high, said=str(each.said))
    return found


def said_by_page(pair: Pair) -> tuple[str, ...]:
    return shown(pair.ratio, pair.low, pair.high, said=pair.said)


def test_the_report_and_compare_say_the_same_of_every_pair(reference: Written) -> None:
    compared = said_by_compare(reference)
    page = {
        (each.scenario, figure, pair.base, pair.other): said_by_page(pair)
        for each in reference.document.compared
        for figure, pairs in each.pairs.items()
        for pair in pairs
    }
    assert page
    # cells of a map and companions at other distances have no section to compare in
    sections = {each.scenario for each in reference.document.compared}
    assert page == {key: said for key, said in compared.items() if key[0] in sections}


def test_what_others_read_says_the_same(reference_folder: RunFolder, reference: Written) -> None:
    compared = said_by_compare(reference)
    told = 0
    for row in reference_folder.summary():
        for metric, each in row["beside_leader"].items():
            key = (row["scenario"], metric, each["leader"], row["variant"])
            shown_ = shown(each["ratio"], each["low"], each["high"], said=each["said"])
            assert shown_ == compared[key]
            told += 1
    assert told
