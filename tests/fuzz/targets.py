"""Fuzz targets: each a strategy for hostile input, and the check of all that must hold for it."""

import gc
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from random import Random
from types import FrameType
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from fuzz.mutations import mutated

SUPPRESSED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
"""Hypothesis's checks of how fast cases are made say more about the machine than about the cases."""


class Target(msgspec.Struct, frozen=True):
    """A part of the program that reads what others wrote.

    `check` takes one case and raises where anything but the documented happens. `share` is the part of all
    cases that it gets, relative to the others'; `fresh` the part of its cases that is drawn anew, more where
    mutations alone reach less; `seconds` is the most CPU time that a case may take. With `loose`, for cases
    that are mappings, mutations put anything in the place of any value.
    """

    name: str
    cases: SearchStrategy[Any]
    check: Callable[[Any], None]
    share: float = 1.0
    fresh: float = 0.05
    seconds: float = 5.0
    loose: bool = False


class TooSlow(BaseException):
    """A case took more CPU time than it may. Not an Exception, so that what is tested cannot catch it."""


@contextmanager
def bounded(seconds: float) -> Generator[None]:
    """Raises TooSlow in here after so many seconds of this process's CPU time; for the main thread only.

    The garbage collector waits: most of what it would look at is of the fuzzer, and errors in its callbacks
    are lost.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TooSlow(f"more than {seconds:g} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, stop)
    gc.disable()
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        gc.enable()
        signal.signal(signal.SIGVTALRM, before)


def drawn(target: Target, count: int, number: int) -> list[Any]:
    """About so many cases of a target from its strategy; equal numbers draw equal ones."""
    cases: list[Any] = []

    def keep(case: Any) -> None:
        cases.append(case)

    configured = settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=SUPPRESSED,
    )
    seed(number)(configured(given(target.cases)(keep)))()
    return cases


def batch(target: Target, count: int, number: int, *, fresh: int, pool: list[Any]) -> Iterator[Any]:
    """So many cases: `fresh` from the strategy, which join the pool, then mutations of those of the pool."""
    new = drawn(target, min(fresh, count), number)[:count]
    yield from new
    pool += new
    random = Random(number)
    for _ in range(count - len(new)):
        yield mutated(random, random.choice(pool), pool, loose=target.loose)
