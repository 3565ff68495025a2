"""Tables -> figures -> one HTML file; the only room that imports matplotlib."""

from asyncdb_bench.report.write import Written, write

__all__ = ["Written", "write"]
