"""A sample of the fuzzing that `make fuzz` does at length."""

import pytest
from hypothesis import given, settings

from fuzz.run import TARGETS
from fuzz.targets import SUPPRESSED, Target, batch

SAMPLE = 40


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_others_wrote_is_read_or_refused(target: Target):
    few = max(5, round(SAMPLE * min(1.0, target.share)))
    configured = settings(max_examples=few, suppress_health_check=SUPPRESSED, database=None)
    configured(given(target.cases)(target.check))()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_mutations_of_what_others_wrote_are_read_or_refused(target: Target):
    for case in batch(target, SAMPLE, 1, fresh=10, pool=[]):
        target.check(case)
