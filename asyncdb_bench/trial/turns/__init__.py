"""Variants take turns: all of a block alive at once, one of them running, the others stopped.

In: a block of trials. Out: a step for each turn, and how each variant's trial ended.
"""
