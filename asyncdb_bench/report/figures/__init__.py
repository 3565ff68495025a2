"""Comparisons -> matplotlib figures as SVG text; a module per kind of figure.

In: tables and curves. Out: drawings with their words and data.
"""
