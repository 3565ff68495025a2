"""What is written down: plan, step and run records, messages between processes, files.

In: what the other rooms measured. Out: frozen dataclasses and Structs, and their formats under
``results/``. Imports nothing of ours but errors and text.
"""
