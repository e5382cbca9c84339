"""Fuzzing of everything that others wrote: see `run.py`."""
