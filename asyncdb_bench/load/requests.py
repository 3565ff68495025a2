"""What is asked, request by request: drawn beforehand where that can be."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.contract.route import REQUEST_TIMEOUT, host_of
from asyncdb_bench.contract.scenario import Conversation, Scenario, Users
from asyncdb_bench.load.connection import Address

AHEAD = 16_384
"""So many requests are prepared before a window, some 10 MB; of a longer one the others follow."""


class Asked(NamedTuple):
    """A request.

    Parameters
    ----------
    number, operation, params : what is asked; `number` is its place in the scenario's mix.
    request : whole.
    user : of a session, whose next step this is; None: it stands for itself.
    """

    number: int
    operation: Operation
    params: dict[str, Any]
    request: bytes
    user: Conversation | None = None


class Requests(Protocol):
    """Where requests come from."""

    def next(self) -> Asked:
        """Return the next one."""

    def prepare_one(self) -> bool:
        """Prepare one more; return whether there was any to prepare."""


class Maker:
    """Makes the requests of a scenario to an application.

    Parameters
    ----------
    operations, names : by name, and the names in the order of the scenario's mix.
    address : of the application.
    timeout_ms : that each request asks the application to answer within; 0: it asks for none.
    """

    def __init__(
        self,
        operations: Mapping[str, Operation],
        names: Sequence[str],
        address: Address,
        timeout_ms: float = 0.0,
    ) -> None:
        self._known = {name: (number, operations[name]) for number, name in enumerate(names)}
        self._host, self._port = host_of(address[0]), address[1]
        self._more = {REQUEST_TIMEOUT: f"{timeout_ms:g}"} if timeout_ms else {}

    def make(self, name: str, params: dict[str, Any], user: Conversation | None = None) -> Asked:
        """Return a request for an operation."""
        number, operation = self._known[name]
        request = operation.request(params)
        if self._more:
            request = request._replace(headers={**request.headers, **self._more})
        if user is not None and user.cookies is not None:
            request = user.cookies.added_to(request)
        return Asked(number, operation, params, request.sent_to(self._host, self._port), user)


class Drawn:
    """Requests that stand for themselves, in the order in which they were drawn.

    Parameters
    ----------
    scenario : draws the parameters.
    maker : of the requests.
    names, chosen : names of operations, and of each request its own, shape (n,).
    seed : of the parameters.
    """

    def __init__(
        self,
        scenario: Scenario[Any],
        maker: Maker,
        names: Sequence[str],
        chosen: np.ndarray[Any, Any],
        seed: tuple[int, ...],
    ) -> None:
        self._coming = self._draw(scenario, maker, names, chosen, np.random.default_rng(seed))
        self._ready: deque[Asked] = deque()
        while len(self._ready) < AHEAD and self._more():
            pass

    def next(self) -> Asked:
        """Return the next one; it is drawn only now where it is not prepared yet."""
        return self._ready.popleft() if self._ready else next(self._coming)

    def prepare_one(self) -> bool:
        """Prepare one more, where not enough are."""
        return len(self._ready) < AHEAD and self._more()

    def _more(self) -> bool:
        found = next(self._coming, None)
        if found is not None:
            self._ready.append(found)
        return found is not None

    @staticmethod
    def _draw(
        scenario: Scenario[Any],
        maker: Maker,
        names: Sequence[str],
        chosen: np.ndarray[Any, Any],
        rng: np.random.Generator,
    ) -> Iterator[Asked]:
        for number in chosen:
            name = names[number]
            yield maker.make(name, scenario.params(name, rng))


class Ring:
    """Some requests, again and again in the same order.

    Parameters
    ----------
    requests : at least one.
    """

    def __init__(self, requests: Sequence[Asked]) -> None:
        self._requests = requests
        self._place = 0

    def next(self) -> Asked:
        """Return the next one."""
        found = self._requests[self._place]
        self._place = (self._place + 1) % len(self._requests)
        return found

    def prepare_one(self) -> bool:
        """All are prepared."""
        return False


class Steps:
    """Steps of users' sessions: each is made of the answers before.

    Parameters
    ----------
    users : who say what they ask next.
    maker : of the requests.
    """

    def __init__(self, users: Users, maker: Maker) -> None:
        self._users = users
        self._maker = maker

    def next(self) -> Asked:
        """Return the next step of the user who is on turn."""
        user = self._users.take()
        return self._maker.make(user.operation, user.params, user)

    def prepare_one(self) -> bool:
        """None can be prepared."""
        return False
