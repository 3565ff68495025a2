"""Sessions of users: requests that follow one another, each made of the answers before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from asyncdb_bench.contract.browsing import Cookies

Ask = Callable[[str, dict[str, Any]], Any]
"""Takes an operation's name and parameters, and returns the answer."""
Talk = Generator[tuple[str, dict[str, Any]], Any, None]
"""Yields an operation's name and parameters, and receives its answer as `check` has it."""


@dataclass(frozen=True, slots=True)
class Session:
    """What one user does, in order.

    Parameters
    ----------
    steps : names of the operations, in the order in which `talk` asks for them.
    talk : generator function: takes a :class:`numpy.random.Generator`, yields ``(name, params)``
        and receives the answer. A step that fails ends the session.
    weight : how often it begins, beside the other sessions of the scenario.
    """

    steps: tuple[str, ...]
    talk: Callable[[np.random.Generator], Talk]
    weight: float = 1.0


def mix_of(sessions: Sequence[Session]) -> dict[str, float]:
    """Return the share of each operation in the requests of sessions that run to their end."""
    counted: Counter[str] = Counter()
    for each in sessions:
        for name in each.steps:
            counted[name] += each.weight  # type: ignore[assignment]
    total = sum(counted.values())
    return {name: count / total for name, count in counted.items()}


@dataclass(slots=True)
class Conversation:
    """A session under way, and its next request.

    Parameters
    ----------
    session : what is done.
    talk : its generator.
    operation, params : asked for next.
    done : how many steps were answered.
    cookies : that its user has; None: an answer has set none yet.
    """

    session: Session
    talk: Talk
    operation: str
    params: dict[str, Any]
    done: int = 0
    cookies: Cookies | None = None

    def answered(self, answer: Any) -> bool:
        """Take a step's answer; return whether the session goes on.

        Raises
        ------
        ValueError : it asks for another operation than its `steps` say.
        """
        self.done += 1
        try:
            self.operation, self.params = self.talk.send(answer)
        except StopIteration:
            self._expect(None)
            return False
        self._expect(self.operation)
        return True

    def _expect(self, asked: str | None) -> None:
        steps = self.session.steps
        due = steps[self.done] if self.done < len(steps) else None
        if asked != due:
            raise ValueError(
                f"a session's step {self.done + 1} is {asked or 'its end'}; its steps say"
                f" {due or 'the end'}: {', '.join(steps)}"
            )


def go_through(session: Session, rng: np.random.Generator, ask: Ask) -> None:
    """Ask for a session's steps to its end.

    Parameters
    ----------
    session, rng : which, and what it draws from.
    ask : takes an operation's name and parameters, returns the answer.

    Raises
    ------
    ValueError : as :func:`begun`.
    """
    talk = begun(session, rng)
    while talk.answered(ask(talk.operation, talk.params)):
        pass


def begun(session: Session, rng: np.random.Generator) -> Conversation:
    """Return a session at its first request.

    Raises
    ------
    ValueError : it asks for nothing, or for another operation than its `steps` say.
    """
    talk = session.talk(rng)
    try:
        operation, params = next(talk)
    except StopIteration:
        raise ValueError("a session asks for nothing") from None
    made = Conversation(session, talk, operation, params)
    made._expect(operation)
    return made


class Users:
    """Users who take turns at the requests of an arrival process: it says when, they say what.

    The arrivals stay those of an open model. Each is the next step of the user who has waited
    longest; where fewer than `count` are about, or all wait for an answer, of a new one.

    Parameters
    ----------
    sessions : what users do.
    count : users that are about at a time.
    rng : to draw with.
    """

    def __init__(self, sessions: Sequence[Session], count: int, rng: np.random.Generator) -> None:
        self.sessions = sessions
        self.count = count
        self.rng = rng
        total = sum(each.weight for each in sessions)
        self.shares = [each.weight / total for each in sessions]
        self.waiting: list[Conversation] = []
        self.busy = 0

    def take(self) -> Conversation:
        """Return whose request is next."""
        if self.waiting and len(self.waiting) + self.busy >= self.count:
            found = self.waiting.pop(0)
        else:
            chosen = int(self.rng.choice(len(self.sessions), p=self.shares))
            found = begun(self.sessions[chosen], self.rng)
        self.busy += 1
        return found

    def give_back(self, conversation: Conversation, answer: Any, *, right: bool) -> None:
        """Take back a user with the answer; one whose step failed, or was the last, leaves."""
        self.busy -= 1
        if right and conversation.answered(answer):
            self.waiting.append(conversation)
