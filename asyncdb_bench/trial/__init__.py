"""Variants measured: launch, ladder, monitor, host, lock, calibration, conformance.

In: a plan and running services. Out: steps and trial ends in the run's folder.
"""
