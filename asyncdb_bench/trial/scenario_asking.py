"""What a check asks a scenario for: each operation some times, or whole sessions; directly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from asyncdb_bench.contract.browsing import message_of
from asyncdb_bench.contract.engine import make_engine
from asyncdb_bench.contract.operation import drive
from asyncdb_bench.contract.scenario import Scenario, Workload
from asyncdb_bench.contract.session import Ask, go_through
from asyncdb_bench.trial.conformance_checks import TIMEOUT_S

if TYPE_CHECKING:
    from sqlalchemy import Engine

DRAWS = 20
"""How often each operation is tried."""
VISITS = 5
"""How often each session is."""


def ask_all(scenario: Scenario[Any], wanted: Iterable[str], ask: Ask) -> None:
    """Ask for operations some times each, or go through sessions to their end.

    Parameters
    ----------
    scenario : draws the parameters.
    wanted : names of operations; sessions are gone through whole.
    ask : takes name and parameters, returns the answer.
    """
    rng = np.random.default_rng(2)
    for session in scenario.sessions():
        for _ in range(VISITS):
            go_through(session, rng, ask)
    if not scenario.sessions():
        for name in wanted:
            for _ in range(DRAWS):
                ask(name, scenario.params(name, rng))


@contextmanager
def asked_directly(workload: Workload, database: str) -> Iterator[tuple[Engine, Ask]]:
    """Lend what asks for an operation through a plain session, and the engine that it uses.

    Parameters
    ----------
    workload : for the operations.
    database : URL of one with the workload's data.

    Returns
    -------
    The engine, connected, and a function of name and parameters that returns what a client has.
    """
    from sqlalchemy.orm import Session

    engine = make_engine(database, 1, TIMEOUT_S)

    def ask(name: str, params: dict[str, Any]) -> Any:
        operation = workload.operations[name]
        with Session(engine) as session, session.begin():
            answer = drive(operation.steps(**operation.typed(params)), session.execute)
        reply = operation.route.reply(answer)
        headers = message_of({"Content-Type": reply.content_type, **reply.headers}.items())
        return operation.route.answer(reply.status, headers, reply.encoded)

    try:
        with engine.connect():
            pass
        yield engine, ask
    finally:
        engine.dispose()
