"""`chat`: rooms over WebSockets; each message is stored, then sent to every member of its room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncdb_bench import Scenario, ScenarioKnobs, Workload, knob

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatKnobs(ScenarioKnobs):
    """Who is there, and what they ask for."""

    connections: int = knob(200, unit="members", low=2, high=5000, help="WebSocket connections")
    room: int = knob(10, unit="members", low=2, high=1000, help="members of a room")
    search: float = knob(0.0, unit="%", low=0, high=90, help="messages that are a /search")
    ms: float = knob(500.0, unit="ms", low=0, high=10_000, help="time a /search takes")


class Chat(Scenario[ChatKnobs]):
    """What the author of 2017 built; the offered load is messages per second over all rooms."""

    name = "chat"
    summary = "WebSockets: 200 members in rooms of 10, messages stored, then broadcast"
    Knobs = ChatKnobs
    websocket = True
    counted = ("post",)
    p99_ms = 200
    loads = (10, 25, 50, 100, 150, 200, 250, 300, 400, 500)

    @property
    def rooms(self) -> int:
        """How many rooms there are."""
        return -(-self.knobs.connections // self.knobs.room)

    def workload(self) -> Workload:
        """Return the chat's data and operations."""
        from asyncdb_bench.contract.data.chat import OPERATIONS, ChatData

        return Workload(data=ChatData(self.rooms), operations=OPERATIONS)

    def mix(self) -> dict[str, float]:
        """Return messages, and searches where they are asked for."""
        shares = {"post": 100 - self.knobs.search, "search": self.knobs.search}
        return {name: share / 100 for name, share in shares.items() if share > 0}

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a member to write as, and the room."""
        member = int(rng.integers(0, self.knobs.connections))
        drawn = {"room": member // self.knobs.room + 1}
        if operation == "search":
            return drawn | {"seconds": self.knobs.ms / 1000}
        if operation == "post":
            return drawn | {"author": f"member-{member}", "body": "x" * int(rng.integers(10, 200))}
        return drawn
