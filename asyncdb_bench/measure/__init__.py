"""How a run is measured: launches, turns, what each asks for, and what is recorded of it."""
