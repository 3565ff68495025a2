"""The names that authors of strategies and scenarios write with."""

from asyncdb_bench.contract.celery.strategy import WorkerKnobs, WorkerStrategy
from asyncdb_bench.contract.data.bases import (
    PostKnobs,
    PostScenario,
    SlowKnobs,
    StandardKnobs,
    StandardScenario,
)
from asyncdb_bench.contract.data.ready_tables import STAND_INS, stand_in
from asyncdb_bench.contract.data.sources import Csv, Dump, Parquet, Sql, Tables
from asyncdb_bench.contract.driver_strategy import DriverStrategy
from asyncdb_bench.contract.engine import (
    AsyncSessions,
    Sessions,
    make_async_engine,
    make_engine,
    translated,
)
from asyncdb_bench.contract.knob import BUDGET, knob
from asyncdb_bench.contract.operation import (
    AtOnce,
    Operation,
    Params,
    Pause,
    Steps,
    Streamed,
    drive,
    drive_async,
    operation,
)
from asyncdb_bench.contract.process_strategy import ProcessKnobs, ProcessStrategy
from asyncdb_bench.contract.queues.strategy import KEPT_S, QueueKnobs, QueueStrategy, waiting, waits
from asyncdb_bench.contract.raw_result import as_sent, sql
from asyncdb_bench.contract.route import Reply, Response, Route, clamped
from asyncdb_bench.contract.scenario import (
    OwnScenario,
    Recorded,
    Scenario,
    ScenarioKnobs,
    Session,
    Talk,
    Workload,
    loads_at_once,
)
from asyncdb_bench.contract.session_strategies import (
    AsyncPoolKnobs,
    AsyncSessionStrategy,
    PooledStrategy,
    PoolKnobs,
    SessionStrategy,
    ThreadKnobs,
    ThreadStrategy,
)
from asyncdb_bench.contract.strategy import Context, Knobs, Strategy
from asyncdb_bench.contract.urls import aio_pika_url
from asyncdb_bench.errors import KnobError, RequestTimeoutError, UnavailableError
from asyncdb_bench.records.plan import Objective, Overload, Part, Segment
from asyncdb_bench_attach.timing import hand_over, taken_back

__all__ = [
    "BUDGET",
    "KEPT_S",
    "STAND_INS",
    "AsyncPoolKnobs",
    "AsyncSessionStrategy",
    "AsyncSessions",
    "AtOnce",
    "Context",
    "Csv",
    "DriverStrategy",
    "Dump",
    "KnobError",
    "Knobs",
    "Objective",
    "Operation",
    "Overload",
    "OwnScenario",
    "Params",
    "Parquet",
    "Part",
    "Pause",
    "PoolKnobs",
    "PooledStrategy",
    "PostKnobs",
    "PostScenario",
    "ProcessKnobs",
    "ProcessStrategy",
    "QueueKnobs",
    "QueueStrategy",
    "Recorded",
    "Reply",
    "RequestTimeoutError",
    "Response",
    "Route",
    "Scenario",
    "ScenarioKnobs",
    "Segment",
    "Session",
    "SessionStrategy",
    "Sessions",
    "SlowKnobs",
    "Sql",
    "StandardKnobs",
    "StandardScenario",
    "Steps",
    "Strategy",
    "Streamed",
    "Tables",
    "Talk",
    "ThreadKnobs",
    "ThreadStrategy",
    "UnavailableError",
    "WorkerKnobs",
    "WorkerStrategy",
    "Workload",
    "aio_pika_url",
    "as_sent",
    "clamped",
    "drive",
    "drive_async",
    "hand_over",
    "knob",
    "loads_at_once",
    "make_async_engine",
    "make_engine",
    "operation",
    "sql",
    "stand_in",
    "taken_back",
    "translated",
    "waiting",
    "waits",
]
