"""A chat step's receipts -> delivery latency, what was lost, how long the chat was frozen. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.analysis import statistics
from asyncdb_bench.records.step import Chat

NOTICEABLE_US = 100_000
"""A pause that a person notices (Nielsen, *Usability Engineering*, 1993, ch. 5: 0.1 s)."""


def frozen_s(due_us: NDArray[np.int64], received_us: NDArray[np.int64], end_us: int) -> float:
    """Return for how long nobody received anything although messages were due, seconds.

    Parameters
    ----------
    due_us : when each message should have been posted, shape (n,), ascending.
    received_us : every receipt by any member, shape (m,), in any order.
    end_us : when the counting ends.

    Returns
    -------
    The sum of the stretches of 0.1 s and more. A stretch begins with a message that is due while
    nothing has been received since, and ends with the next receipt, whoever's.
    """
    if not len(due_us):
        return 0.0
    receipts = np.sort(received_us)
    after = np.searchsorted(receipts, due_us, side="right")
    ends = np.append(receipts, end_us)[after]
    # of the messages that wait for the same next receipt the first one begins the stretch
    _, first = np.unique(after, return_index=True)
    stretches = ends[first] - due_us[first]
    return float(stretches[stretches >= NOTICEABLE_US].sum()) / 1e6


def chat_summary(columns: Mapping[str, Any], ok: NDArray[np.bool_], end_us: int) -> Chat:
    """Return what the members of a chat felt during a step.

    Parameters
    ----------
    columns : of the load's scratch file.
    ok : which arrivals were answered rightly, shape (n,).
    end_us : when the step's last answer had come.
    """
    intended = columns["intended_ns"] // 1000
    receipts = columns["receipts_ns"] // 1000
    there = receipts > 0
    waits = (receipts - intended[:, None])[there]
    is_post = there.any(axis=1)
    delivered = is_post & ok
    most = there[delivered].sum(axis=1).max(initial=0)
    present, wanted = columns["members"].tolist()
    disorder, duplicates = columns["disorder"].tolist()
    join_s = float(columns["join_s"][0])
    joins = columns["joins_us"]
    return Chat(
        delivery=statistics.percentiles(waits),
        deliveries=int(there.sum()),
        lost=int((most - there[delivered].sum(axis=1)).sum()) if present == wanted else None,
        duplicated=int(duplicates),
        out_of_order=int(disorder),
        ping=statistics.percentiles(columns["pings_ns"][:, 1] // 1000),
        # a search is answered to its asker alone: nobody else waits for it
        frozen_s=frozen_s(intended[columns["is_post"]], receipts[there], end_us),
        joins_per_s=len(joins) / join_s if join_s > 0 else 0.0,
        join=statistics.percentiles(joins),
        members=int(wanted),
        connected=int(present),
    )
