"""Turns of a block: many short steps -> values by block, ratios with intervals, answers. Pure.

In: the steps of turns. Out: what is said of each pair of variants, and how sharp it is.
"""
