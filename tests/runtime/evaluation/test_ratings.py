"""Ratings: what a judge's reply is taken for, and that nothing of it is made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.evaluation.ratings import (
    Rated,
    means,
    preference,
    read_ratings,
    reliability,
    share_of,
)

NAMES = ("relevance", "coherence")
ratings = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 5).map(float))
rated = st.lists(st.builds(Rated, st.just("row"), ratings, ratings), max_size=8)


@pytest.mark.parametrize(
    "reply",
    [
        '{"relevance": 4, "coherence": 2}',
        'Here you are:\n```json\n{"relevance": 4, "coherence": 2}\n```\nDone.',
        '<think>{"relevance": 1, "coherence": 1}?</think> {"relevance": 4, "coherence": 2}',
        'First {"relevance": 1, "coherence": 1}. No: {"relevance": 4, "coherence": 2}',
        '{"scores": {"relevance": 4, "coherence": 2}, "why": "{"}',
        '{"relevance": {"score": 4, "why": "…"}, "coherence": {"rating": 2}}',
        '{"Relevance": "4/5", "COHERENCE": " 2 "}',
        '{"coherence": 2.0, "relevance": 4, "tone": 9}',
    ],
)
def test_ratings_are_read_from_the_last_object_that_speaks_of_them(reply: str):
    read = read_ratings(reply, NAMES)
    assert read.ratings == {"relevance": 4.0, "coherence": 2.0}
    assert read.unusable == {}


@pytest.mark.parametrize(
    ("reply", "unusable"),
    [
        ("I would rather not rate this.", {"no JSON object with ratings": 2}),
        ("", {"no JSON object with ratings": 2}),
        ('{"relevance": 4, "coher', {"no JSON object with ratings": 2}),
        ('{"verdict": 4}', {"no JSON object with ratings": 2}),
        ('{"relevance": 4}', {"missing": 1}),
        ('{"relevance": 4, "coherence": "good"}', {"no number": 1}),
        ('{"relevance": 4, "coherence": true}', {"no number": 1}),
        ('{"relevance": 4, "coherence": null}', {"no number": 1}),
        ('{"relevance": 4, "coherence": 0}', {"not from 1 to 5": 1}),
        ('{"relevance": 4, "coherence": 100}', {"not from 1 to 5": 1}),
        ('{"relevance": 4, "coherence": NaN}', {"not from 1 to 5": 1}),
    ],
)
def test_what_is_unusable_has_no_rating_and_is_counted(reply: str, unusable: dict[str, int]):
    read = read_ratings(reply, NAMES)
    assert read.unusable == unusable
    assert set(read.ratings) <= {"relevance"}


@given(rated)
def test_a_mean_lies_between_the_ratings_it_is_of(found: list[Rated]):
    for name, mean in means(found, NAMES).items():
        given_ratings = [one.rating(name) for one in found if one.rating(name) is not None]
        if mean is None:
            assert len(given_ratings) < max(1, 0.8 * len(found))
        else:
            assert min(given_ratings) <= mean <= max(given_ratings)  # pyright: ignore[reportArgumentType]


def test_one_usable_reading_is_a_rating_and_too_few_of_them_are_no_mean():
    once = Rated("1", {"relevance": 4.0}, {}, {"missing": 1})
    never = Rated("2", {}, {}, {"missing": 2})
    assert means([once], ["relevance"]) == {"relevance": 4.0}
    assert means([once, never], ["relevance"]) == {"relevance": None}
    assert means([once] * 4 + [never], ["relevance"]) == {"relevance": 4.0}


def test_disagreement_is_the_mean_distance_of_the_two_readings():
    found = [
        Rated("1", {"relevance": 5.0}, {"relevance": 3.0}),
        Rated("2", {"relevance": 4.0}, {"relevance": 4.0}),
        Rated("3", {"relevance": 1.0}, {}, {"missing": 1, "no number": 1}),
    ]
    told = reliability(found, NAMES)
    assert told.items == 3
    assert told.disagreement == {"relevance": 1.0, "coherence": None}
    assert told.unusable == {"missing": 1, "no number": 1}


def pair(first: tuple[float, float], second: tuple[float, float]) -> Rated:
    """Ratings of one and other, in the first and in the opposite order."""
    (a, b), (c, d) = first, second
    return Rated("row", {"one": a, "other": b}, {"one": c, "other": d})


def test_a_row_is_won_only_where_both_orders_say_so():
    found = preference(
        [
            pair((5, 3), (4, 2)),
            pair((2, 3), (1, 2)),
            pair((5, 1), (1, 5)),
            pair((3, 3), (3, 3)),
            pair((4, 3), (3, 3)),
            Rated("row", {"one": 5.0, "other": 1.0}, {}),
        ],
        "one",
        "other",
        same=2,
    )
    assert (found.wins, found.losses, found.swayed, found.tied, found.unusable) == (1, 1, 1, 4, 1)
    assert found.share == pytest.approx((1 + 5 / 2) / 7)


@given(st.lists(st.builds(pair, *[st.tuples(st.integers(1, 5), st.integers(1, 5))] * 2), min_size=1))
def test_preference_for_the_other_is_the_rest(found: list[Rated]):
    forth, back = preference(found, "one", "other"), preference(found, "other", "one")
    assert forth.share is not None
    assert back.share is not None
    assert forth.share + back.share == pytest.approx(1)


def test_nothing_usable_is_no_preference():
    assert preference([Rated("row", {}, {})], "one", "other").share is None


def test_ratings_as_shares_run_from_0_to_1():
    assert [share_of(rating) for rating in (1, 3, 5)] == [0, 0.5, 1]
