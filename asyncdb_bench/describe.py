"""What a variant is in this checkout, told to another: ``python -m asyncdb_bench.describe``.

One :class:`Describe` as a line on standard input, one :class:`Description` as a line on standard
output. A default that differs between two revisions is part of their difference, so the code that
runs a variant says what it is.
"""

from __future__ import annotations

import sys

import msgspec

from asyncdb_bench.errors import BenchError, UsageError
from asyncdb_bench.plan.other_checkout import revision_and_changes
from asyncdb_bench.plan.registry import CHECKOUT
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant
from asyncdb_bench.processes.host import versions
from asyncdb_bench.records.messages import DOOR, PROTOCOL, Describe, Description


def description_of(question: Describe) -> Description:
    """Return the answer to a question.

    Raises
    ------
    UsageError : a later version of the question, an unknown name, or a knob out of bounds.
    """
    if question.version > DOOR:
        raise UsageError(f"asked by version {question.version} of the question, this knows {DOOR}")
    variant = make_variant(Spec(question.name, question.knobs), question.budget)
    return Description(
        version=DOOR,
        protocol=PROTOCOL,
        variant=variant,
        git=revision_and_changes(CHECKOUT),
        versions=versions(),
    )


def main() -> int:
    """Answer one question."""
    try:
        question = msgspec.json.decode(sys.stdin.buffer.read(), type=Describe)
        answer = description_of(question)
    except (BenchError, msgspec.DecodeError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - read by the checkout that asks
        return 2
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
