"""The door for other checkouts: one question, one answer, both with a version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.other_checkout import make_variant_elsewhere, resolve
from asyncdb_bench.plan.registry import CHECKOUT
from asyncdb_bench.plan.request import Spec, parse_specs
from asyncdb_bench.plan.variants import make_variant
from asyncdb_bench.records.messages import DOOR, PROTOCOL, SPOKEN, Describe, Description
from tests.plan.test_variants import copy_of_checkout

ROOT = Path(__file__).parents[2]


def asked(question: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "asyncdb_bench.describe"],
        input=question,
        capture_output=True,
        cwd=ROOT,
        check=False,
    )


def test_it_says_what_a_variant_is_here() -> None:
    said = asked(msgspec.json.encode(Describe("executor", {"threads": "3"}, 8)))
    assert said.returncode == 0, said.stderr
    found = msgspec.json.decode(said.stdout, type=Description)
    assert (found.version, found.protocol) == (DOOR, PROTOCOL)
    assert found.variant == make_variant(Spec("executor", {"threads": "3"}), 8)
    assert found.versions["python"]


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (msgspec.json.encode(Describe("native", {}, 8, DOOR + 1)), b"this knows 1"),
        (msgspec.json.encode(Describe("nativ", {}, 8)), b"did you mean 'native'"),
        (msgspec.json.encode(Describe("native", {"pool": "0"}, 8)), b"outside 1..1000"),
        (b"{", b"truncated"),
    ],
)
def test_what_it_does_not_understand_it_refuses_in_a_line(question: bytes, says: bytes) -> None:
    said = asked(question)
    assert said.returncode == 2
    assert says in said.stderr
    assert b"Traceback" not in said.stderr


def test_a_checkout_of_another_protocol_is_refused(tmp_path: Path) -> None:
    base = copy_of_checkout(tmp_path / "base")
    path = base / "asyncdb_bench" / "records" / "messages.py"
    path.write_text(path.read_text().replace(f"PROTOCOL = {PROTOCOL}\n", "PROTOCOL = 99\n"))
    with pytest.raises(UsageError, match=f"99, this checkout {min(SPOKEN)} to {PROTOCOL}"):
        make_variant_elsewhere(Spec("native", {}, str(base)), 8)


def test_an_interpreter_is_taken_as_it_is(tmp_path: Path) -> None:
    link = tmp_path / "python3.14t"
    link.symlink_to(sys.executable)
    code, python = resolve(str(link))
    assert (code, python) == (CHECKOUT, link), "what a link leads to has another environment"


def test_what_does_not_import_there_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'ModuleNotFoundError: no tornado here' >&2\nexit 1\n")
    broken.chmod(0o755)
    (spec,) = parse_specs(f"native@{broken}")
    with pytest.raises(UsageError, match="no tornado here"):
        make_variant(spec, 8)
