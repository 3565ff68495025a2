"""Variants of other checkouts and environments, and injected faults."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from asyncdb_bench.contract.operation import drive
from asyncdb_bench.errors import UsageError
from asyncdb_bench.extensions.gate.base_checkout import PREFIX, checked_out, revision_of
from asyncdb_bench.plan.other_checkout import environment, resolve
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.registry import CHECKOUT, make_scenario
from asyncdb_bench.plan.request import Choices, Spec, parse_specs
from asyncdb_bench.plan.variants import fault_label, faulty_operations, make_variant, parse_fault
from asyncdb_bench.records.plan import Fault
from asyncdb_bench.report.parts.environment import repeat_command
from tests.factories import manifest


def test_a_path_after_the_at_sign_belongs_to_the_variant() -> None:
    (spec,) = parse_specs("native@../base:pool=4")
    assert spec == Spec("native", {"pool": "4"}, "../base")
    assert spec.label == "native@../base:pool=4"
    (own,) = parse_specs("a/b.py:Mine@/venv:size=3")
    assert (own.name, own.at) == ("a/b.py:Mine", "/venv")
    for bad in ("native@", "@../base"):
        with pytest.raises(UsageError, match="path/to/checkout"):
            parse_specs(bad)


def copy_of_checkout(folder: Path) -> Path:
    for name in ("asyncdb_bench", "asyncdb_bench_attach", "strategies", "scenarios"):
        shutil.copytree(
            CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(CHECKOUT / "bench.toml", folder)
    return folder


def test_another_checkouts_defaults_are_its_own(tmp_path: Path) -> None:
    base = copy_of_checkout(tmp_path / "base")
    path = base / "asyncdb_bench" / "contract" / "session_strategies.py"
    text, usual = path.read_text(), "threads: int = knob(\n        BUDGET,"
    assert usual in text
    path.write_text(text.replace(usual, usual.replace("BUDGET", "3")))
    theirs = make_variant(Spec("executor", {}, str(base)), 8)
    ours = make_variant(Spec("executor", {}), 8)
    assert theirs.elsewhere is not None
    assert (theirs.knobs["threads"], ours.knobs["threads"]) == (3, 8)
    assert theirs.shares[0]["threads"] == 3
    assert Path(theirs.elsewhere.code) == base
    assert theirs.elsewhere.python == sys.executable


def test_what_is_no_checkout_or_does_not_import_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        resolve(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="neither a checkout"):
        resolve(str(tmp_path))
    base = copy_of_checkout(tmp_path / "base")
    (base / "asyncdb_bench" / "plan" / "variants.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(UsageError, match="nothing_of_this_name"):
        make_variant(Spec("native", {}, str(base)), 8)


def test_an_environment_runs_this_checkouts_code() -> None:
    code, python = resolve(sys.prefix)
    assert code == CHECKOUT
    assert python == Path(sys.prefix) / "bin" / "python"


def test_another_checkouts_code_comes_before_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{CHECKOUT}:/elsewhere")
    assert environment(Path("/base"))["PYTHONPATH"] == "/base:/elsewhere"


def test_a_scenario_is_of_this_checkout() -> None:
    with pytest.raises(UsageError, match="@ goes with a strategy"):
        make_plan(Choices(scenarios="read@../base"), read_profiles())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no fault"),
        ("sleep=2", "should read one of"),
        ("delay_ms=soon", "is not a number"),
        ("delay_ms=-1", "outside"),
        ("pool=9999", "outside"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_fault(text)


def test_a_fault_reads_as_it_was_written() -> None:
    assert parse_fault("delay_ms=2, cpu_ms=0.5,pool=6") == Fault(2.0, 0.5, 6)
    assert fault_label(Fault(2.0, 0.5, 6)) == "delay_ms=2,cpu_ms=0.5,pool=6"


def test_a_delay_is_one_more_statement_before_the_operations_own() -> None:
    operations = make_scenario("read", {}).workload().operations
    slow = faulty_operations(operations, Fault(delay_ms=3))
    assert faulty_operations(operations, None) is operations
    asked: list[str] = []

    def execute(statement: object) -> object:
        asked.append(str(statement))
        raise LookupError

    with pytest.raises(LookupError):
        drive(slow["read"].steps(account=1), execute)
    assert "pg_sleep" in asked[0]
    assert (
        slow["read"].params_type.__struct_fields__
        == operations["read"].params_type.__struct_fields__
    )
    assert slow["read"].rows == operations["read"].rows


def test_each_variant_has_a_twin_with_the_fault_and_the_run_can_be_repeated() -> None:
    choices = Choices("smoke", "native:pool=4", "read", 7, inject="delay_ms=2,pool=3")
    plan = make_plan(choices, read_profiles())
    assert [each.label for each in plan.variants] == [
        "native:pool=4",
        "native:pool=4!delay_ms=2,pool=3",
    ]
    assert [each.knobs["pool"] for each in plan.variants] == [4, 3]
    command = repeat_command(manifest(plan=plan, seed=7))
    assert "--strategy native:pool=4 " in command
    assert command.endswith("--inject delay_ms=2,pool=3")


def repository(folder: Path) -> Path:
    folder.mkdir()
    (folder / "requirements.lock").write_text("one\n")
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "first"],
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    return folder


def test_a_base_is_checked_out_and_gone_afterwards(tmp_path: Path) -> None:
    root = repository(tmp_path / "repository")
    with checked_out("HEAD", print, root) as path:
        assert (path / "requirements.lock").read_text() == "one\n"
        kept = path
    assert not kept.exists()
    listed = subprocess.run(
        ["git", "-C", str(root), "worktree", "list"], capture_output=True, text=True, check=True
    )
    assert len(listed.stdout.splitlines()) == 1


def test_what_a_killed_gate_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = subprocess.Popen(["true"])
    ended.wait()
    stale = tmp_path / f"{PREFIX}{ended.pid}-abc"
    stale.mkdir()
    with checked_out("HEAD", print, repository(tmp_path / "repository")):
        assert not stale.exists()


def test_an_unknown_base_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nonsense"):
        revision_of("nonsense", repository(tmp_path / "repository"))
    (tmp_path / "plain").mkdir()
    with pytest.raises(UsageError, match="--base"):
        revision_of("HEAD", tmp_path / "plain")
