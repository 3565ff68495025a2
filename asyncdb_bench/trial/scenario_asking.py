"""What a check asks a scenario for: each operation some times, or whole sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from asyncdb_bench.contract.scenario import Scenario
from asyncdb_bench.contract.session import begun

DRAWS = 20
"""How often each operation is tried."""
VISITS = 5
"""How often each session is."""
Ask = Callable[[str, dict[str, Any]], Any]


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
            conversation = begun(session, rng)
            while conversation.answered(ask(conversation.operation, conversation.params)):
                pass
    if not scenario.sessions():
        for name in wanted:
            for _ in range(DRAWS):
                ask(name, scenario.params(name, rng))
