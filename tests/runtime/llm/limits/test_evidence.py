"""The cause of refusals: a limit, or an endpoint that refuses at random."""

import pytest

from transfer_prompting.runtime.llm.limits._evidence import Evidence, Intervals


def weighed(outcomes: str) -> Evidence:
    """Evidence of calls that were served (`s`) and refused (`r`); `=`: noise was found."""
    evidence = Evidence()
    actions = {"s": evidence.served, "r": evidence.refused, "=": evidence.find_random}
    for outcome in outcomes:
        actions[outcome]()
    return evidence


@pytest.mark.parametrize(
    ("outcomes", "limit", "noise"),
    [
        ("", False, False),
        ("rr", False, False),
        ("rrr", True, False),
        ("sss", False, False),
        ("ssss", False, True),
        ("rrsr", False, False),
        ("rrsrr", True, False),
        ("srsss", False, False),
        ("srsssss", False, True),
    ],
)
def test_three_refusals_more_than_the_served_make_up_for_show_a_limit_and_four_served_calls_noise(
    outcomes: str, limit: bool, noise: bool
):
    evidence = weighed(outcomes)
    assert (evidence.for_limit, evidence.for_random) == (limit, noise)


@pytest.mark.parametrize(("before", "refusals"), [("s" * 20, 16), ("s" * 2000, 16), ("ssss=", 8), ("=", 8)])
def test_however_much_was_served_a_limit_that_begins_is_found_after_some_refusals(before: str, refusals: int):
    assert not weighed(before + "r" * (refusals - 1)).for_limit
    assert weighed(before + "r" * refusals).for_limit


def test_more_evidence_of_noise_than_is_granted_is_kept():
    assert not weighed("s" * 20 + "=" + "r" * 15).for_limit


def seen(*intervals: tuple[int, float], first: float = 50.0) -> Intervals:
    """Episodes with so many calls served between them, in so many seconds."""
    found, now = Intervals(), first
    found.episode(now)
    for served, seconds in intervals:
        for _ in range(served):
            found.served()
        now += seconds
        found.episode(now)
    return found


@pytest.mark.parametrize(
    ("intervals", "random"),
    [
        ([], False),
        ([(100, 1)] * 5, False),
        ([(100, 1), (1, 10)], False),
        ([(100, 1), (1, 10), (1, 10)], True),
        ([(100, 1), (8, 10), (8, 10)], True),
        ([(100, 1), (9, 10), (9, 10)], False),
        # Few calls at a rate that is a third of the highest, and half of it.
        ([(103, 1), (4, 0.15), (4, 0.15)], True),
        ([(103, 1), (4, 0.1), (4, 0.1)], False),
        ([(43, 1), (0, 0.07), (0, 0.07)], True),
        ([(43, 1), (0, 0.06), (0, 0.06)], False),
        # A rate of three calls or fewer is none.
        ([(3, 0.001), (0, 9), (0, 9)], False),
        ([(4, 0.001), (0, 9), (0, 9)], True),
        ([(30, 0), (0, 9), (0, 9)], True),
    ],
)
def test_few_calls_at_a_rate_far_below_another_contradict_a_limit_twice(
    intervals: list[tuple[int, float]], random: bool
):
    assert seen(*intervals).random() == random


def test_of_the_episodes_the_latest_twelve_intervals_count_and_none_that_were_forgotten():
    odd = [(100, 1.0), (1, 10.0), (1, 10.0)]
    assert seen(*odd, *[(9, 1.0)] * 9).random()
    assert not seen(*odd, *[(9, 1.0)] * 11).random()
    found = seen(*odd)
    found.clear()
    assert not found.random()
    for now in (200.0, 300.0, 400.0):
        found.episode(now)
    assert not found.random()
