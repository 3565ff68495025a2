"""Sentences, tables and figures -> one page and the other formats.

In: a run's folder. Out: HTML, Markdown, CSV, JUnit XML, ``summary.json``. The only room with
matplotlib.
"""

from asyncdb_bench.report.write import Written, write

__all__ = ["Written", "write"]
