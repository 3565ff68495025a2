"""A request -> an ordered schedule of trials.

In: the command line's words, ``bench.toml``, plug-ins, other checkouts. Out: a frozen ``Plan``.
"""
