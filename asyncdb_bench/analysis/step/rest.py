"""A turn at rest -> its line of ``steps.jsonl``: nothing was asked, and what was used. Pure."""

from __future__ import annotations

from asyncdb_bench.analysis.step.record import TrialContext
from asyncdb_bench.analysis.step.validity import turn_notes
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.observed import Observed
from asyncdb_bench.records.step import Ledger, Percentiles, Step, Turn

NOTHING = Percentiles(0)


def resting_step(
    context: TrialContext,
    number: int,
    turn: Turn,
    window_s: float,
    started_at: str,
    observed: Observed,
    other_run: str,
) -> Step:
    """Return the step of a variant that had nothing to do.

    Parameters
    ----------
    context, number : of the trial, and which of its steps it is.
    turn, window_s, started_at : of the turn.
    observed : what was used meanwhile.
    other_run : who else held the machine; empty: no one.
    """
    trial = context.trial
    return Step(
        run_id=context.run_id,
        trial=trial.id,
        block=trial.block,
        scenario=trial.scenario,
        variant=trial.variant,
        strategy=context.variant.strategy,
        step=number,
        offered_rps=0.0,
        achieved_rps=0.0,
        window_s=window_s,
        lasted_s=window_s,
        started_at=started_at,
        ledger=Ledger(0, 0, 0, 0, 0, 0),
        errors={},
        latency=NOTHING,
        latency_bounds={},
        service=NOTHING,
        send_lag=NOTHING,
        loop_lag=NOTHING,
        usage=observed.usage,
        connections_peak=observed.connections_peak,
        connections_active_peak=observed.connections_active_peak,
        gauges={},
        holds=True,
        misses=(),
        valid=not other_run,
        reasons=(Doubt(DoubtKind.OTHER_RUN, subject=other_run),) if other_run else (),
        threads=observed.threads,
        stolen=observed.stolen,
        others_cores=observed.others_cores,
        notes=tuple(turn_notes(turn, window_s)),
        purpose=trial.purpose,
        turn=turn,
    )
