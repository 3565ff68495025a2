"""Findings -> the parts of a document: a module per part of the page. Pure.

In: comparisons, verdicts, maps, records. Out: sections of
:class:`asyncdb_bench.report.document.Document`.
"""
