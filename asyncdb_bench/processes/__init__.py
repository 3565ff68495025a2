"""Processes: started, pinned, watched, stopped and ended, whatever becomes of the harness.

In: command lines and cores. Out: running processes, and what they used.
"""
