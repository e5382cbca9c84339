"""Rates that are learned from refusals."""

import pytest

from transfer_prompting.runtime.llm.limits._rates import LearnedRate


@pytest.mark.parametrize("rate", [0.0, 1e-9])
def test_a_rate_that_a_jump_of_the_clock_made_absurd_still_lets_a_call_start_every_minute(rate: float):
    learned = LearnedRate()
    for episode in range(3):
        learned.refused(float(episode), rate, paced=False)
        assert learned.pace is not None
        learned.take(float(episode))
    assert learned.pace is not None
    assert learned.pace.due() <= 2 + 3 * 60
