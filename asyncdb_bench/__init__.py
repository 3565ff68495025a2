"""asyncdb-bench measures how a Tornado application should call its SQL database.

Authors of strategies and scenarios write with the names below; docs/add-a-strategy.md and
docs/add-a-scenario.md say how. They are stable: a change of one is announced in CHANGELOG.md.
"""

from asyncdb_bench.contract.celery.strategy import WorkerStrategy
from asyncdb_bench.contract.celery.worker_knobs import WorkerKnobs
from asyncdb_bench.contract.data.post_scenario import PostKnobs, PostScenario
from asyncdb_bench.contract.data.standard import SlowKnobs, StandardKnobs, StandardScenario
from asyncdb_bench.contract.driver_strategy import DriverStrategy
from asyncdb_bench.contract.engine import make_async_engine, make_engine, translated
from asyncdb_bench.contract.knob import BUDGET, knob
from asyncdb_bench.contract.operation import (
    AtOnce,
    Operation,
    Params,
    Pause,
    Steps,
    drive,
    drive_async,
    operation,
)
from asyncdb_bench.contract.process_strategy import ProcessKnobs, ProcessStrategy
from asyncdb_bench.contract.scenario import Scenario, ScenarioKnobs, Workload, loads_at_once
from asyncdb_bench.contract.session_strategies import (
    AsyncPoolKnobs,
    AsyncSessionStrategy,
    PooledStrategy,
    PoolKnobs,
    SessionStrategy,
)
from asyncdb_bench.contract.sessions import AsyncSessions, Sessions
from asyncdb_bench.contract.strategy import Context, Knobs, Strategy
from asyncdb_bench.contract.thread_strategy import ThreadKnobs, ThreadStrategy
from asyncdb_bench.contract.timing import hand_over, taken_back
from asyncdb_bench.errors import KnobError, RequestTimeoutError, UnavailableError
from asyncdb_bench.old_names import serve_old_names
from asyncdb_bench.records.plan import Objective, Part, Segment

__version__ = "0.1.0"
__all__ = [
    "BUDGET",
    "AsyncPoolKnobs",
    "AsyncSessionStrategy",
    "AsyncSessions",
    "AtOnce",
    "Context",
    "DriverStrategy",
    "KnobError",
    "Knobs",
    "Objective",
    "Operation",
    "Params",
    "Part",
    "Pause",
    "PoolKnobs",
    "PooledStrategy",
    "PostKnobs",
    "PostScenario",
    "ProcessKnobs",
    "ProcessStrategy",
    "RequestTimeoutError",
    "Scenario",
    "ScenarioKnobs",
    "Segment",
    "SessionStrategy",
    "Sessions",
    "SlowKnobs",
    "StandardKnobs",
    "StandardScenario",
    "Steps",
    "Strategy",
    "ThreadKnobs",
    "ThreadStrategy",
    "UnavailableError",
    "WorkerKnobs",
    "WorkerStrategy",
    "Workload",
    "drive",
    "drive_async",
    "hand_over",
    "knob",
    "loads_at_once",
    "make_async_engine",
    "make_engine",
    "operation",
    "taken_back",
    "translated",
]

serve_old_names()
