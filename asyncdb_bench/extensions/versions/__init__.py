"""Which release of a package changed the answer: a walk through its releases, measured in turns.

In: a package, strategies, scenarios. Out: between which releases something changed, and by how
much; a page, and JSON.
"""

VERBS = {"versions": "asyncdb_bench.extensions.versions.verbs:versions_verb"}
