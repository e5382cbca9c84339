"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine's load than about the code.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("untimed", UNTIMED)
settings.register_profile("few", UNTIMED, max_examples=15)
settings.load_profile("untimed")
