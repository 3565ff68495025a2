"""For Locust on its own, with its own web page: ``locust -f asyncdb_bench/load/locustfile.py``.

This is Locust's usual closed model: users that wait for an answer before they ask again. The
harness does not use it; see :mod:`asyncdb_bench.load.user` for why.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from locust import FastHttpUser, between, events, task

from asyncdb_bench.contract.browsing import message_of
from asyncdb_bench.contract.operation import Operation, Said, judged
from asyncdb_bench.contract.scenario import Scenario, Users
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.plan.request import parse_specs

# imports what takes seconds on a slow machine before a worker reports to its master: one that
# stops answering when its users start is taken for lost, and asks for nothing
make_scenario("mixed", {}).workload()


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_arguments(parser: Any, **_: Any) -> None:
    """Add ``--scenario`` to Locust's own options."""
    parser.add_argument("--scenario", default="mixed", help="whose mix of operations to send")


class ApplicationUser(FastHttpUser):
    """A user of the application: asks for operations in the scenario's shares, checks answers."""

    wait_time = between(0.01, 0.1)
    scenario: Scenario[Any]
    operations: dict[str, Operation]

    def on_start(self) -> None:
        """Find out what to ask."""
        spec = parse_specs(self.environment.parsed_options.scenario)[0]
        self.scenario = make_scenario(spec.name, spec.knobs)
        self.operations = dict(self.scenario.workload().operations)
        self.names, self.shares = zip(*self.scenario.mix().items(), strict=True)
        self.rng = np.random.default_rng()
        sessions = self.scenario.sessions()
        # a user of Locust is one user of a session
        self.users = Users(sessions, 1, self.rng) if sessions else None

    @task
    def ask(self) -> None:
        """Ask for one operation; a wrong answer is a failure."""
        if self.users is not None:
            user, right, answer = self.users.take(), False, None
            if not user.done:
                self.client.cookiejar.clear()
            try:
                right, answer = self.ask_for(user.operation, user.params)
            finally:
                self.users.give_back(user, answer, right=right)
            return
        self.client.cookiejar.clear()
        name = str(self.rng.choice(self.names, p=self.shares))
        self.ask_for(name, self.scenario.params(name, self.rng))

    def ask_for(self, name: str, params: dict[str, Any]) -> tuple[bool, Any]:
        """Ask for one operation; return whether the answer is right, and the answer."""
        operation = self.operations[name]
        route, asked = operation.route, operation.request(params)
        with self.client.request(
            asked.method,
            asked.target,
            name=f"{asked.method} {route.path}",
            data=asked.body.decode(),
            headers=asked.headers,
            allow_redirects=route.follow,
            catch_response=True,
        ) as response:
            headers = message_of(response.headers.items())
            said = Said(response.status_code, headers, response.content)
            answer, why = judged(operation, params, said)
            # of itself Locust takes a redirect for right
            if why:
                response.failure(why)
            else:
                response.success()
            return not why, answer
