"""Whether something got worse: base and head of this checkout, interleaved until it is decided.

In: a request and a revision, or two stored runs. Out: decisions, and an exit code.
"""

VERBS = {"gate": "asyncdb_bench.extensions.gate.verbs:gate_verb"}
