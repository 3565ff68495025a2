"""Whether a strategy or a scenario keeps the contract: tried on real services.

In: a strategy or a scenario. Out: what was tried, and what is wrong.
"""

VERBS = {
    "check": "asyncdb_bench.extensions.check.verbs:check_verb",
    "init": "asyncdb_bench.extensions.check.verbs:init_verb",
    "new": "asyncdb_bench.extensions.check.verbs:new_verb",
}
