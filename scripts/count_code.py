"""Count a tree's code: lines without blanks, comments and docstrings, by room, and what is large.

``python scripts/count_code.py [TREE]`` prints a Markdown table; two trees are counted alike when
the same script is run over both.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from pathlib import Path

LONG_FUNCTION = 40
SMALL_FILE = 40
MEASURED = re.compile(r"<!-- (\w+): begin -->.*?<!-- \1: end -->", re.DOTALL)
"""What a command writes into a page of the documents."""
_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstring_lines(tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that docstrings take."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, _Documented) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            lines |= set(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return lines


def code_lines(source: str, tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return lines - docstring_lines(tree)


def count(package: Path) -> dict[str, Counter[str]]:
    """Return what each room of a package counts: code, docstrings, files, functions, `Any`."""
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    for path in sorted(package.rglob("*.py")):
        source = path.read_text()
        tree = ast.parse(source)
        inside = path.relative_to(package).parts
        lines = code_lines(source, tree)
        room = rooms[inside[0] if len(inside) > 1 else "(top)"]
        room["code"] += len(lines)
        room["docstrings"] += len(docstring_lines(tree))
        room["files"] += 1
        room["small files"] += len(lines) < SMALL_FILE
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                room["functions"] += 1
                body = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                room[f"over {LONG_FUNCTION}"] += len(lines.intersection(body)) > LONG_FUNCTION
                arguments = [*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs]
                written = [a.annotation for a in arguments] + [node.returns]
                room["Any"] += any(w is not None and "Any" in ast.unparse(w) for w in written)
    return rooms


def words_of(page: str) -> int:
    """Return how many words a page has, without the tables that a command writes into it."""
    return len(MEASURED.sub("", page).split())


def main() -> None:
    """Print the table of the tree that was named, or of this one."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent
    names = ("code", "docstrings", "files", "small files", "functions", "over 40", "Any")
    print(f"| room | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    rooms = count(root / "asyncdb_bench")
    rooms = dict(sorted(rooms.items(), key=lambda item: -item[1]["code"]))
    rooms["**all**"] = sum(rooms.values(), Counter())
    for also in ("strategies", "scenarios", "tests", "benchmarks", "asyncdb_bench_attach"):
        if (root / also).is_dir():
            rooms[f"{also}/"] = sum(count(root / also).values(), Counter())
    for room, of in rooms.items():
        print(f"| {room} | {' | '.join(f'{of[name]:,}' for name in names)} |")
    words = sum(
        words_of(page.read_text())
        for page in (root / "docs").rglob("*.md")
        if page.name != "licences.md"
    )
    print(f"\ndocs: {words:,} words; README: {len((root / 'README.md').read_text().split()):,}")


if __name__ == "__main__":
    main()
