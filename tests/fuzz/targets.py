"""Fuzz targets: each a strategy for hostile input, and the check of all that must hold for it."""

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import msgspec
from hypothesis import HealthCheck
from hypothesis.strategies import SearchStrategy

SUPPRESSED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
"""Hypothesis's checks of how fast cases are made say more about the machine than about the cases."""


class Target(msgspec.Struct, frozen=True):
    """A part of the program that reads what others wrote.

    `check` takes one case and raises where anything but the documented happens. `share` is the part of all
    cases that it gets, relative to the others'; `seconds` is the most CPU time that a case may take.
    """

    name: str
    cases: SearchStrategy[Any]
    check: Callable[[Any], None]
    share: float = 1.0
    seconds: float = 5.0


class TooSlow(BaseException):
    """A case took more CPU time than it may. Not an Exception, so that what is tested cannot catch it."""


@contextmanager
def bounded(seconds: float) -> Generator[None]:
    """Raises TooSlow in here after so many seconds of this process's CPU time; for the main thread only."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TooSlow(f"more than {seconds:g} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
