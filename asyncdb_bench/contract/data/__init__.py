"""The data of the built-in scenarios: tables, their content, the operations on them.

In: sizes. Out: template databases (:class:`Data`) and operations by name.
"""
