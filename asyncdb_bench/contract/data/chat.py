"""The chat's data and the operations on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from sqlalchemy import BigInteger, Connection, Text, func, insert, select, text, true
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from asyncdb_bench.contract.data.accounts import Seconds, asleep
from asyncdb_bench.contract.operation import Params, Steps, operation

HISTORY = 50
"""Messages that a member is sent who joins."""
SEEDED = 60
"""Messages that each room has from the start: more than a member is sent."""

RoomId = Annotated[int, msgspec.Meta(ge=1)]


class ChatTables(DeclarativeBase):
    """Tables of the chat."""


class Message(ChatTables):
    """A message that was posted to a room."""

    __tablename__ = "message"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    room: Mapped[int] = mapped_column(BigInteger, index=True)
    author: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True, slots=True)
class ChatData:
    """Rooms with a past; equal for equal `rooms`."""

    rooms: int

    @property
    def key(self) -> str:
        """Return what names the template database."""
        return f"chat_{self.rooms}"

    def create(self, connection: Connection) -> None:
        """Create and fill the table, and gather the planner's statistics."""
        ChatTables.metadata.create_all(connection)
        connection.execute(
            text(
                "INSERT INTO message (room, author, body) SELECT r, 'author-' || (g % 10),"
                " 'message ' || g FROM generate_series(1, :each) AS g,"
                " generate_series(1, :rooms) AS r"
            ),
            {"rooms": self.rooms, "each": SEEDED},
        )
        connection.commit()
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))


def _right_history(_params: Params, answer: Params) -> bool:
    messages = answer["messages"]
    ids = [each["id"] for each in messages]
    return len(messages) == HISTORY and ids == sorted(ids)


@operation(check=_right_history, rows=HISTORY, reads=True)
def history(room: RoomId) -> Steps:
    """Read a room's last messages, oldest first."""
    found = (
        yield select(Message.id, Message.author, Message.body)
        .where(Message.room == room)
        .order_by(Message.id.desc())
        .limit(HISTORY)
    ).all()
    rows = [{"id": each.id, "author": each.author, "body": each.body} for each in reversed(found)]
    return {"room": room, "messages": rows}


def _right_post(params: Params, answer: Params) -> bool:
    return bool(answer["id"] > 0 and answer["room"] == params["room"])


@operation(check=_right_post, rows=1)
def post(room: RoomId, author: str, body: str) -> Steps:
    """Store a message."""
    number = (
        yield insert(Message).values(room=room, author=author, body=body).returning(Message.id)
    ).scalar_one()
    return {"id": number, "room": room}


def _right_search(params: Params, answer: Params) -> bool:
    return bool(answer["room"] == params["room"] and answer["found"] >= SEEDED)


@operation(check=_right_search, rows=1, reads=True)
def search(room: RoomId, seconds: Seconds) -> Steps:
    """Search a room's messages by a query that takes `seconds` in the database."""
    found = (
        yield select(func.count(Message.id))
        .select_from(Message)
        .join(asleep(seconds), true())
        .where(Message.room == room)
    ).scalar_one()
    return {"room": room, "found": found}


OPERATIONS: dict[str, Any] = {each.name: each for each in (history, post, search)}
