"""Why a measurement is not sound, or what a reader should know of it: typed values, not sentences.

Sentences are made of them where people read them, see :mod:`asyncdb_bench.records.doubts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    NOT_OFFERED = "not_offered"
    NOT_CALM = "not_calm"
    NO_OVERLOAD = "no_overload"


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
    DoubtKind.NOT_OFFERED: "spread the load (--load-processes), or ask for a smaller factor",
    DoubtKind.NOT_CALM: "ask for a longer `before`, or more patience",
    DoubtKind.NO_OVERLOAD: "repeat it when the machine is quiet",
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


def sentence(doubt: Doubt) -> str:
    """Return a doubt in words and figures."""
    low, high = doubt.low or 0.0, doubt.high or 0.0
    return _WORDS.get(doubt.kind, "{subject}").format(
        measured=doubt.measured or 0.0,
        limit=doubt.limit or 0.0,
        low=low,
        expected=f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}",
        subject=doubt.subject,
    )


def sentences(doubts: Iterable[Doubt]) -> str:
    """Return several doubts in one line."""
    return "; ".join(map(sentence, doubts))


_WORDS: Mapping[DoubtKind, str] = {
    DoubtKind.LEDGER: "the ledger does not add up: {subject}",
    DoubtKind.COUNT: "Locust counted {measured:.0f} requests, the recorder {low:.0f}",
    DoubtKind.SKIPPED: "{measured:.0f} arrivals skipped: too many requests under way",
    DoubtKind.WRONG_ANSWERS: "{measured:.0f} wrong answers",
    DoubtKind.BUDGET: "{measured:.0f} database connections, {limit:.0f} declared",
    DoubtKind.OTHER_RUN: "another run held the machine: {subject}",
    DoubtKind.TRANSACTIONS: "the database counted {measured:,.0f} transactions, the ledger says"
    " {expected} ({subject})",
    DoubtKind.ROWS: "the database counted {measured:,.0f} rows, the ledger says {expected}"
    " ({subject})",
    DoubtKind.CLIENT_BUSY: "the load generator was busy {measured:.0%} of a core (limit"
    " {limit:.0%})",
    DoubtKind.STARTS_APART: "load worker {subject} may have begun {measured:.1f} ms apart from the"
    " agreed moment (limit {limit:g} ms)",
    DoubtKind.DELAY_BUSY: "the delay proxy used {measured:.0%} of a core (limit {limit:.0%}): it"
    " may have throttled",
    DoubtKind.ROUND_TRIP: "the round trip to the {subject} was {measured:.2f} ms where {low:g} ms"
    " were asked for",
    DoubtKind.ARRIVALS: "arrivals at {measured:,.1f}/s instead of {low:,.1f}/s (limit {limit:.0%})",
    DoubtKind.SEND_LAG: "the load generator sent late: send lag {subject} {measured:.1f} ms (limit"
    " {limit:.1f} ms)",
    DoubtKind.UNANSWERED: "{measured:.0f} not answered",
    DoubtKind.NO_SUCCESS: "no request succeeded",
    DoubtKind.P99: "p99 {measured:.0f} ms, objective < {limit:g} ms",
    DoubtKind.FAILED_SHARE: "{measured:.1%} failed, objective < {limit:.1%}",
    DoubtKind.BEHIND: "{measured:,.0f}/s completed of {limit:,.0f}/s",
    DoubtKind.NOT_STOPPED: "it took its turns beside running processes: {subject}",
    DoubtKind.GROUPED: "memory does not hold all variants at once ({measured:,.0f} MB free,"
    " {limit:,.0f} MB wanted): it took turns with {subject} alone",
    DoubtKind.CUT_SHORT: "its processes ended before its turns did, which were not held against the"
    " database's count of the whole launch: {subject}",
    DoubtKind.OTHERS_RAN: "it used {measured:.3f} s of CPU while it was paused",
    DoubtKind.CLOCK_JUMP: "the wall clock jumped by {measured:+.1f} s; latencies are on"
    " CLOCK_MONOTONIC and stand",
    DoubtKind.UNWATCHED: "the database could not be watched: {subject}",
    DoubtKind.NOT_OFFERED: "not offered: of {measured:,.0f}/s, {limit:g} x its pace, the client"
    " asked {low:.0%} in time",
    DoubtKind.NOT_CALM: "no calm before the overload: {measured:.0f} of {low:.0f} requests were"
    " answered in time",
    DoubtKind.NO_OVERLOAD: "no overload: it answered {measured:.2g} x the pace that it had before",
    DoubtKind.NO_ROUND: "none of {measured:.0f} rounds has a sound {subject} of both",
}
"""What a doubt says, with its figures; of other kinds the subject says it all."""


def unsteady(drift: float | None) -> str:
    """Say by how much the second half of a step differs from its first."""
    return "" if drift is None else f"the second half's median latency is {drift:.2g} x the first's"
