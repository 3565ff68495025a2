"""``python -m tests.cases [NAME …]``: try what users brought, all or the cases named."""

from __future__ import annotations

import sys

import pytest

from tests.cases.table import CASES


def main(names: list[str]) -> int:
    """Run the tests of the cases; return pytest's exit code, 2 for a case that is not known."""
    if unknown := sorted(set(names) - set(CASES)):
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(CASES)}", file=sys.stderr)
        return 2
    nodes = [node for name in names or CASES for node in CASES[name]]
    return pytest.main(["-v", *dict.fromkeys(nodes)])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
