"""What was asked, where it is somebody's own applications: where from, and how far looked into."""

from __future__ import annotations

from asyncdb_bench.records.plan import Target
from asyncdb_bench.report.document import Column, Fold, Section, Table, Text, row_of
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.text import counted, number


def applications_section(found: Findings) -> Section:
    """Return what stands in the place of fairness: the applications are their owners' affair."""
    targets = [(each.label, each.target) for each in found.manifest.plan.variants if each.target]
    attached = _attached(found)
    fold = Fold(
        id="fairness",
        title="The applications",
        line=f"{counted(len(targets), 'application')} of your own;"
        f" {len(attached)} with asyncdb_bench.attach",
        blocks=(
            Text(
                text="Their databases, pools and budgets are their own affair, and were not"
                " counted. Loop lag is known where asyncdb_bench.attach is called, and phases are;"
                " CPU and memory where their processes are.",
                tone="soft",
            ),
            Table(
                id="fairness-table",
                columns=(
                    Column(title="variant", left=True),
                    Column(title="where", left=True),
                    Column(title="started by", left=True),
                    Column(title="revision", left=True),
                    Column(title="attached", left=True),
                    Column(title="memory at most", unit="MB"),
                ),
                rows=tuple(
                    row_of(
                        label,
                        target.url,
                        " ".join(target.command) or "nobody: it ran already",
                        revision_words(target),
                        "yes" if label in attached else "no",
                        number(_memory(found, label)),
                        variant=label,
                    )
                    for label, target in targets
                ),
            ),
        ),
        opened=False,
    )
    return Section(id="fairness-section", title="", blocks=(fold,), nav="The applications")


def revision_words(target: Target) -> str:
    """Say what git says of where a target was started; a dash where it says nothing."""
    revision = str(target.git.get("revision", ""))[:12]
    dirty = " with changes" if target.git.get("dirty") else ""
    return f"{revision}{dirty}" if revision else "–"


def _attached(found: Findings) -> set[str]:
    return {step.variant for step in found.offered if step.loop_lag.n}


def _memory(found: Findings, label: str) -> float | None:
    used = [
        step.usage["app"].rss_mb
        for step in found.offered
        if step.variant == label and "app" in step.usage and step.usage["app"].rss_mb
    ]
    return max(used, default=None)
