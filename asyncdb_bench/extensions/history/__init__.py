"""How figures changed over many runs: kept in a file, searched for change points.

In: runs. Out: the history's file, its page, a badge, data for other programs, a week in Markdown.
"""

VERBS = {"history": "asyncdb_bench.extensions.history.verbs:history_verb"}
KEEP_RUN = {"history": "asyncdb_bench.extensions.history.keeping:keep_run"}
