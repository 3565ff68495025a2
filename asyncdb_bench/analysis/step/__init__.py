"""One step: raw columns -> its line of ``steps.jsonl``. Pure.

In: the load's columns, heartbeats, what was observed. Out: a judged ``Step``.
"""
