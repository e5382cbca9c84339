"""Settings of all tests."""

import gc
import os
from functools import lru_cache

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine's load than about the code.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("untimed", UNTIMED)
settings.register_profile("few", UNTIMED, max_examples=15)
settings.load_profile("untimed")

_CACHED = type(lru_cache(lambda: None))


def pytest_sessionstart() -> None:
    """Forget cached values: `mutants.py` tries mutants in forks of a process that has run the tests."""
    for one in gc.get_objects():
        if type(one) is _CACHED and one.__module__.startswith("transfer_prompting."):
            one.cache_clear()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """More workers than cores: for a third of their time tests wait for processes, sockets and disks."""
    cores = os.cpu_count() or 1
    return cores + (cores + 1) // 2
