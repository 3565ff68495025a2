"""The command line: a file per verb that parses, calls and prints.

In: arguments. Out: text on the terminal and an exit code.
"""
