"""The matrix of faults: each part of a run, killed or stopped, at each moment, and what came of it.

``make faults`` tries all of it and writes the table of ``docs/reliability.md``.
"""
