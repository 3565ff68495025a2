"""PostgreSQL and the brokers: found, started, watched, stopped.

In: URLs from the environment, or programs on this machine. Out: URLs, process ids, counts.
"""
