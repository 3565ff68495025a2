"""Doubts as people read them: a sentence's end for each kind, with its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from asyncdb_bench.records.doubts import Doubt, DoubtKind


def sentence(doubt: Doubt) -> str:
    """Return a doubt in words and figures."""
    return _WORDS[doubt.kind](doubt)


def sentences(doubts: Iterable[Doubt]) -> str:
    """Return several doubts in one line."""
    return "; ".join(map(sentence, doubts))


def _counted(what: str) -> Callable[[Doubt], str]:
    def words(doubt: Doubt) -> str:
        low, high = doubt.low or 0, doubt.high or 0
        expected = f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
        return (
            f"the database counted {doubt.measured or 0:,.0f} {what}, the ledger says {expected}"
            f" ({doubt.subject})"
        )

    return words


def _of(template: str) -> Callable[[Doubt], str]:
    """Return what fills a template in with a doubt's figures."""

    def words(doubt: Doubt) -> str:
        return template.format(
            measured=doubt.measured or 0.0,
            limit=doubt.limit or 0.0,
            low=doubt.low or 0.0,
            high=doubt.high or 0.0,
            subject=doubt.subject,
        )

    return words


_WORDS: Mapping[DoubtKind, Callable[[Doubt], str]] = {
    DoubtKind.LEDGER: _of("the ledger does not add up: {subject}"),
    DoubtKind.COUNT: _of("Locust counted {measured:.0f} requests, the recorder {low:.0f}"),
    DoubtKind.SKIPPED: _of("{measured:.0f} arrivals skipped: too many requests under way"),
    DoubtKind.WRONG_ANSWERS: _of("{measured:.0f} wrong answers"),
    DoubtKind.BUDGET: _of("{measured:.0f} database connections, {limit:.0f} declared"),
    DoubtKind.OTHER_RUN: _of("another run held the machine: {subject}"),
    DoubtKind.TRANSACTIONS: _counted("transactions"),
    DoubtKind.ROWS: _counted("rows"),
    DoubtKind.CLIENT_BUSY: _of(
        "the load generator was busy {measured:.0%} of a core (limit {limit:.0%})"
    ),
    DoubtKind.STARTS_APART: _of(
        "load worker {subject} may have begun {measured:.1f} ms apart from the agreed moment"
        " (limit {limit:g} ms)"
    ),
    DoubtKind.DELAY_BUSY: _of(
        "the delay proxy used {measured:.0%} of a core (limit {limit:.0%}): it may have throttled"
    ),
    DoubtKind.ROUND_TRIP: _of(
        "the round trip to the {subject} was {measured:.2f} ms where {low:g} ms were asked for"
    ),
    DoubtKind.ARRIVALS: _of(
        "arrivals at {measured:,.1f}/s instead of {low:,.1f}/s (limit {limit:.0%})"
    ),
    DoubtKind.SEND_LAG: _of(
        "the load generator sent late: send lag {subject} {measured:.1f} ms (limit {limit:.1f} ms)"
    ),
    DoubtKind.UNANSWERED: _of("{measured:.0f} not answered"),
    DoubtKind.NO_SUCCESS: _of("no request succeeded"),
    DoubtKind.P99: _of("p99 {measured:.0f} ms, objective < {limit:g} ms"),
    DoubtKind.FAILED_SHARE: _of("{measured:.1%} failed, objective < {limit:.1%}"),
    DoubtKind.BEHIND: _of("{measured:,.0f}/s completed of {limit:,.0f}/s"),
    DoubtKind.DIED: _of("{subject}"),
    DoubtKind.HALTED: _of("{subject}"),
    DoubtKind.RESTARTED: _of("{subject}"),
    DoubtKind.SILENT: _of("{subject}"),
    DoubtKind.NETWORK: _of("{subject}"),
    DoubtKind.REFUSED: _of("{subject}"),
    DoubtKind.NOT_STOPPED: _of("it took its turns beside running processes: {subject}"),
    DoubtKind.GROUPED: _of(
        "memory does not hold all variants at once ({measured:,.0f} MB free, {limit:,.0f} MB"
        " wanted): it took turns with {subject} alone"
    ),
    DoubtKind.CUT_SHORT: _of(
        "its processes ended before its turns did, which were not held against the database's count"
        " of the whole launch: {subject}"
    ),
    DoubtKind.OTHERS_RAN: _of("it used {measured:.3f} s of CPU while it was paused"),
    DoubtKind.CLOCK_JUMP: _of(
        "the wall clock jumped by {measured:+.1f} s; latencies are on CLOCK_MONOTONIC and stand"
    ),
    DoubtKind.UNWATCHED: _of("the database could not be watched: {subject}"),
    DoubtKind.NO_ROUND: _of("none of {measured:.0f} rounds has a sound {subject} of both"),
    DoubtKind.NOT_MEASURED: _of("{subject}"),
    DoubtKind.DIFFERENT_RUNS: _of("{subject}"),
}


def unsteady(drift: float | None) -> str:
    """Say by how much the second half of a step differs from its first."""
    return "" if drift is None else f"the second half's median latency is {drift:.2g} x the first's"
