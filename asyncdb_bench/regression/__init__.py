"""Did it get worse: effects between two sides, the gate, change points over many runs.

In: steps of runs, or a schedule that measures more of them. Out: decisions, pages, the history.
"""
