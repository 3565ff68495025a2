"""The conformance suite over every strategy that discovery finds, on both brokers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from asyncdb_bench.contract.abandoning import GENERAL
from asyncdb_bench.extensions.check.conformance import CHECKS, findings_of
from asyncdb_bench.extensions.check.scenario_check import over_http
from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import Launch
from asyncdb_bench.plan.registry import make_scenario, names, strategy_class
from asyncdb_bench.plan.request import Spec, parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.services.running import RunningServices

BUDGET = 3
WITHOUT_BROKER = [name for name in names("strategies") if not strategy_class(name).brokers]
OVER_RABBITMQ = [n for n in names("strategies") if "rabbitmq" in strategy_class(n).brokers]
OVER_REDIS = [n for n in names("strategies") if "redis" in strategy_class(n).brokers]
CELERY_WAYS = [
    *(f"celery:wait={way}" for way in ("thread", "poll")),
    *(f"celery:pool={pool}" for pool in ("threads", "gevent", "solo")),
    "celery:acks_late=true:prefetch=4",
]
RESULT_WAYS = [f"celery:results={way}" for way in ("redis", "amqp")]

pytestmark = pytest.mark.services


ABANDONED = 24


def conforms(request: str, services: RunningServices, *, abandoning: bool = True) -> None:
    (spec,) = parse_specs(request)
    # with knobs of its own a strategy does nothing else for what is abandoned, nor over Redis; what
    # the application does by itself is tried once
    named = () if spec.knobs or not abandoning else strategy_class(spec.name).abandons
    values = [each for each in named if each not in GENERAL or spec.name == "native"]
    findings = list(findings_of(make_variant(spec, BUDGET), services, values, ABANDONED))
    assert len(findings) == len(CHECKS) + len(values) + 1, "what is given back: after close"
    assert [each for each in findings if each.problem] == []


@pytest.mark.parametrize("name", [*WITHOUT_BROKER, "native:uvloop=true", "executor:threads=5"])
def test_without_a_broker(name: str, postgres: RunningServices) -> None:
    conforms(name, postgres)


@pytest.mark.parametrize("name", [*OVER_RABBITMQ, *CELERY_WAYS, *RESULT_WAYS])
def test_over_rabbitmq(name: str, rabbitmq: RunningServices) -> None:
    conforms(name, rabbitmq)


@pytest.mark.parametrize("name", [*OVER_REDIS, *CELERY_WAYS[:2], RESULT_WAYS[0]])
def test_over_redis(name: str, valkey: RunningServices) -> None:
    conforms(name, valkey, abandoning=False)


WRONG = '''
from asyncdb_bench import PoolKnobs, SessionStrategy, drive

class Wrong(SessionStrategy[PoolKnobs]):
    """Commits after each statement, asks twice, and forgets to close."""
    name = "wrong"
    summary = "wrong in every way"
    async def run(self, operation, params):
        with self.session() as session:
            def execute(statement):
                result = session.execute(statement)
                if operation.name == "read":
                    result = session.execute(statement)
                session.commit() if operation.name == "write_then_fail" else None
                return result
            answer = drive(operation.steps(**params), execute)
            session.commit()
            return answer
    async def close(self):
        pass
    @classmethod
    def budget(cls, knobs):
        return 1
'''


def test_the_suite_finds_what_is_wrong(tmp_path, postgres: RunningServices) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "wrong.py"
    path.write_text(WRONG.replace("return 1", "return 2"))
    variant = make_variant(Spec(f"{path}:Wrong", {"pool": "2"}), BUDGET)
    found = findings_of(variant, postgres, ())
    problems = {each.check: each.problem for each in found if each.problem}
    text = "\n".join(problems.values())
    assert "3 x read sent 6 statements, a plain session 3" in text
    assert "1 rows of a failed transaction stayed" in text
    assert "connections open" in text


def test_a_queue_per_task_answers_and_leaves_nothing(
    rabbitmq: RunningServices, tmp_path: Path
) -> None:
    (spec,) = parse_specs("celery:results=amqp")
    asked, queue = plan_scenario(Spec("read", {"rows": "1000"}), {}), "queue-per-task"
    launch = Launch(make_variant(spec, BUDGET), (asked,), "queue_per_task", queue, 60.0)
    workload = make_scenario(asked.scenario, asked.knobs).workload()
    with launched(launch, rabbitmq, tmp_path) as processes:
        for account in range(1, 21):
            over_http(processes.port, workload, "read", {"account": account})
    assert rabbitmq.broker is not None
    left = f"{queue}.results"
    with Connection(rabbitmq.broker.url) as connection:
        gone: Any = connection.channel_errors
        channel: Any = connection.channel()
        with pytest.raises(gone, match="NOT_FOUND"):
            channel.exchange_declare(left, "direct", passive=True)


def test_a_queue_per_task_needs_rabbitmq(valkey: RunningServices) -> None:
    (spec,) = parse_specs("celery:results=amqp")
    variant = make_variant(spec, BUDGET)
    assert "it needs RabbitMQ" in valkey.refusal(variant.brokers, needs_store=variant.needs_store)


FAULTY = Path(__file__).parents[1] / "plugins" / "faulty.py"


@pytest.mark.parametrize(
    ("cls", "says"),
    [
        ("Silent", "a query of 200 ms is noted as 0.0 ms in the database"),
        ("Twofold", "one counts twice"),
        ("Strange", "limits() names conections; known are connections, handler, threads, workers"),
        ("Holding", "limits() declares no `handler`"),
        ("Misnamed", "it opened connections of psycopg; packages name asyncpg"),
        ("Resetting", "3 x read sent 12 statements beside the operation's"),
        ("Leaking", "2 connections stayed open after an open that failed"),
    ],
)
def test_each_fault_is_found_and_nothing_else(
    cls: str, says: str, postgres: RunningServices
) -> None:
    variant = make_variant(Spec(f"{FAULTY}:{cls}", {}), BUDGET)
    problems = [each.problem for each in findings_of(variant, postgres, ()) if each.problem]
    assert len(problems) == 1, problems
    assert says in problems[0]


@pytest.mark.parametrize(
    ("cls", "value", "says"),
    [
        ("Deaf", "cancel", "connections still work 5 s after nobody waits for them"),
        ("Losing", "cancel", "2 run at once, 3 did before: the pool is not whole"),
        ("Mixing", "cancel", ": another's"),
        ("Boundless", "statement", "3 x read sent 0 statements beside its own, 3 declared"),
    ],
)
def test_each_fault_with_what_is_abandoned_is_found_and_nothing_else(
    cls: str, value: str, says: str, postgres: RunningServices
) -> None:
    variant = make_variant(Spec(f"{FAULTY}:{cls}", {}), BUDGET)
    found = findings_of(variant, postgres, (value,), ABANDONED)
    problems = [each.problem for each in found if each.problem]
    assert len(problems) == 1, problems
    assert says in problems[0]


def test_a_strategy_on_psycopg_itself_conforms(postgres: RunningServices) -> None:
    conforms(f"{FAULTY}:PsycopgRaw", postgres)
