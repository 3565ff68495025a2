"""Records -> tables -> sentences. Pure: no file, no process, no clock.

In: a manifest, steps, columns of requests. Out: comparisons, capacities, verdicts.
"""
