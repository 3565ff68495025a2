"""What authors write with: operations, strategies, scenarios, knobs, and bases for each.

In: nothing; authors import from here, by the names that ``asyncdb_bench`` itself offers. Out:
classes that the application, the workers and the load run.
"""
