"""Why a measurement is not sound, or what a reader should know of it: typed values, not sentences.

Sentences are made of them where people read them, see :mod:`asyncdb_bench.records.sentences`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from asyncdb_bench.text import PROGRAM


class DoubtKind(StrEnum):
    """What a doubt is about; the value is what stands on disk."""

    LEDGER = "ledger"
    COUNT = "count"
    SKIPPED = "skipped"
    WRONG_ANSWERS = "wrong_answers"
    BUDGET = "budget"
    OTHER_RUN = "other_run"
    TRANSACTIONS = "transactions"
    ROWS = "rows"
    CLIENT_BUSY = "client_busy"
    STARTS_APART = "starts_apart"
    ARRIVALS = "arrivals"
    SEND_LAG = "send_lag"
    UNANSWERED = "unanswered"
    NO_SUCCESS = "no_success"
    BEHIND = "behind"
    DIED = "died"
    HALTED = "halted"
    RESTARTED = "restarted"
    SILENT = "silent"
    NETWORK = "network"
    REFUSED = "refused"
    DELAY_BUSY = "delay_busy"
    ROUND_TRIP = "round_trip"
    NOT_STOPPED = "not_stopped"
    OTHERS_RAN = "others_ran"
    GROUPED = "grouped"
    CUT_SHORT = "cut_short"
    P99 = "p99"
    FAILED_SHARE = "failed_share"
    CLOCK_JUMP = "clock_jump"
    UNWATCHED = "unwatched"
    NO_ROUND = "no_round"
    NOT_MEASURED = "not_measured"
    DIFFERENT_RUNS = "different_runs"


BREAKING = frozenset(
    {
        DoubtKind.DIED,
        DoubtKind.HALTED,
        DoubtKind.RESTARTED,
        DoubtKind.SILENT,
        DoubtKind.NETWORK,
        DoubtKind.REFUSED,
    }
)
"""Kinds after which nothing that the trial measured is used: it is run again from the start."""

CORE_OF_ITS_OWN = "give the load generator a core of its own (--cpus), or ask for less"
LEAVE_ALONE = (
    "leave the load generator's core to it alone: end what else runs there, or ask for less"
)
"""Instead of :data:`CORE_OF_ITS_OWN` where it has one."""
REMEDIES = {
    DoubtKind.DIED: f"look at its log, and at what ended it; `{PROGRAM} check` starts it alone",
    DoubtKind.HALTED: "leave the processes of a run alone, and end debuggers",
    DoubtKind.RESTARTED: "leave the services to this run alone while it measures",
    DoubtKind.SILENT: f"run `{PROGRAM} check` on the strategy, and look at its log",
    DoubtKind.NETWORK: "look at the network between the hosts: links, switches, other traffic",
    DoubtKind.REFUSED: "give the service what it lacks: memory, disk, connections, or the right to"
    " write",
    DoubtKind.LEDGER: "report it: the load generator lost or doubled an arrival",
    DoubtKind.COUNT: "report it: the load generator's two counts should agree",
    DoubtKind.SKIPPED: "raise `outstanding` in bench.toml, or end the ladder earlier",
    DoubtKind.WRONG_ANSWERS: f"run `{PROGRAM} check` on the strategy",
    DoubtKind.BUDGET: "declare the connections that the strategy opens, or lower its pool",
    DoubtKind.OTHER_RUN: "wait for the other run, then repeat this one",
    DoubtKind.TRANSACTIONS: "leave the database to this run alone, or check the strategy",
    DoubtKind.ROWS: "leave the database to this run alone, or check the operation's `rows`",
    DoubtKind.DELAY_BUSY: "give the services more cores (--cpus), or ask for fewer connections",
    DoubtKind.ROUND_TRIP: "repeat it when the machine is quiet",
    DoubtKind.CLIENT_BUSY: "spread the load (--load-processes) or ask for less",
    DoubtKind.STARTS_APART: "take load workers on a nearer network, or repeat it when it is quiet",
    DoubtKind.ARRIVALS: CORE_OF_ITS_OWN,
    DoubtKind.SEND_LAG: CORE_OF_ITS_OWN,
    DoubtKind.UNANSWERED: "look at the server's log",
    DoubtKind.GROUPED: "free memory, or ask for fewer variants at once",
    DoubtKind.NOT_STOPPED: "end the debugger, or run where processes may be stopped",
    DoubtKind.UNWATCHED: "grant pg_read_all_stats to the account of DATABASE_URL",
}


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason, with its figures.

    Parameters
    ----------
    kind : what it is about.
    measured : the figure that gave the reason, in the kind's own unit (a share, 1/s, ms, a count).
    limit : the tolerance that it exceeded.
    low, high : what was expected instead.
    subject : whose figure, or by what account: a percentile, a view of the database, a variant.
    """

    kind: DoubtKind
    measured: float | None = None
    limit: float | None = None
    low: float | None = None
    high: float | None = None
    subject: str = ""

    @property
    def breaking(self) -> bool:
        """Whether the whole trial counts for nothing."""
        return self.kind in BREAKING

    @property
    def remedy(self) -> str:
        """What to do about it; empty where there is nothing to do."""
        return REMEDIES.get(self.kind, "")
