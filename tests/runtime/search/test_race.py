"""The race: which rows are asked next, and which prompt is best by now."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer_prompting.runtime.search.race import Race

ABILITIES = (0.2, 0.5, 0.9)


def respond(prompt: int, row: int, abilities: tuple[float, ...] = ABILITIES, seed: int = 0) -> float:
    """The score of a prompt on a row: rows have difficulties that all prompts share."""
    return float(random.Random(f"{seed}/{row}").random() < abilities[prompt])


def played(
    rows: int,
    budget: int,
    *,
    abilities: tuple[float, ...] = ABILITIES,
    block: int = 4,
    lost: frozenset[tuple[int, int]] = frozenset(),
    seed: int = 0,
    late: int = 0,
) -> tuple[Race, list[tuple[int, list[int]]]]:
    """A race over a budget, and its decisions. Calls in `lost` fail; results come `late` decisions later."""
    race = Race(rows)
    for _ in abilities:
        race.add()
    left, decisions, flying = budget, list[tuple[int, list[int]]](), list[tuple[int, list[int]]]()

    def land() -> None:
        prompt, places = flying.pop(0)
        scores = [
            math.nan if (prompt, row) in lost else respond(prompt, row, abilities, seed) for row in places
        ]
        race.answer(prompt, places, scores)

    while (found := race.next(left, block=block)) is not None:
        prompt, places = found
        race.ask(prompt, places)
        decisions.append(found)
        flying.append(found)
        left -= len(places)
        if len(flying) > late:
            land()
    while flying:
        land()
    return race, decisions


SIZES = st.tuples(st.integers(1, 40), st.integers(0, 150), st.integers(1, 9), st.integers(0, 5))


@settings(max_examples=40)
@given(SIZES, st.frozensets(st.tuples(st.integers(0, 2), st.integers(0, 39)), max_size=30))
def test_no_row_is_asked_twice_of_a_prompt_and_no_more_than_is_left(
    sizes: tuple[int, int, int, int], lost: frozenset[tuple[int, int]]
):
    rows, budget, block, late = sizes
    race, decisions = played(rows, budget, block=block, lost=lost, late=late)
    asked = [(prompt, row) for prompt, places in decisions for row in places]
    assert len(asked) == len(set(asked)) == min(budget, rows * len(ABILITIES))
    assert all(1 <= len(places) <= block for _, places in decisions)
    assert all(0 <= row < rows for _, row in asked)
    answered = {(prompt, row) for prompt, row in asked if (prompt, row) not in lost}
    assert {(int(p), int(r)) for p, r in zip(*np.nonzero(race.answered), strict=True)} == answered


@settings(max_examples=20)
@given(SIZES, st.integers(0, 5))
def test_equal_results_give_equal_decisions(sizes: tuple[int, int, int, int], seed: int):
    rows, budget, block, late = sizes
    one, first = played(rows, budget, block=block, late=late, seed=seed)
    other, second = played(rows, budget, block=block, late=late, seed=seed)
    assert first == second
    assert one.ranking() == other.ranking()
    assert one.expected().tolist() == other.expected().tolist()


@settings(max_examples=25)
@given(st.lists(st.one_of(st.just(math.nan), st.floats(0, 1)), min_size=1, max_size=30))
def test_whatever_scores_come_in_expectations_are_finite_and_between_nought_and_one(scores: list[float]):
    race = Race(len(scores))
    race.add()
    race.add()
    race.ask(0, range(len(scores)))
    race.answer(0, range(len(scores)), scores)
    assert np.isfinite(race.expected()).all()
    assert ((race.expected() >= 0) & (race.expected() <= 1)).all()
    assert race.ranking() == ([0] if any(not math.isnan(score) for score in scores) else [])


@pytest.mark.parametrize("late", [0, 8])
def test_a_clearly_better_prompt_wins_and_answers_more_rows_than_the_worst(late: int):
    wins = 0
    for seed in range(20):
        race, _ = played(60, 80, seed=seed, late=late)
        rows = race.answered.sum(axis=1)
        wins += race.ranking()[0] == 2
        assert rows[2] > rows[0]
    assert wins >= 18


def test_a_call_that_failed_says_nothing():
    holed, _ = played(20, 60, lost=frozenset((prompt, row) for prompt in range(3) for row in range(10)))
    whole = Race(20)
    for _ in ABILITIES:
        whole.add()
    for prompt in range(3):
        rows = range(10, 20)
        whole.ask(prompt, rows)
        whole.answer(prompt, rows, [respond(prompt, row) for row in rows])
    assert holed.ranking() == whole.ranking()
    assert holed.expected() == pytest.approx(whole.expected(), abs=0.02)
    assert not holed.answered[:, :10].any()


def test_a_prompt_is_compared_by_the_rows_it_answered_not_by_luck_with_easy_ones():
    race = Race(20)
    hard, easy = range(10), range(10, 20)
    usual = [(prompt, rows, score) for prompt in range(8) for rows, score in ((hard, 0.1), (easy, 0.9))]
    for prompt, rows, score in (*usual, (8, easy, 0.7), (9, hard, 0.4)):
        if prompt == len(race):
            race.add()
        race.ask(prompt, rows)
        race.answer(prompt, rows, [score] * 10)
    # Where it was asked, 8 did worse than the others and 9 did better, though 8 has the higher mean.
    ranking = race.ranking()
    assert (ranking[0], ranking[-1]) == (9, 8)


def test_few_answers_count_less_than_many_of_the_same_mean():
    race = Race(40)
    for prompt, rows in enumerate((40, 4)):
        race.add()
        race.ask(prompt, range(rows))
        race.answer(prompt, range(rows), [1.0, 1.0, 1.0, 0.0] * (rows // 4))
    race.add()
    race.ask(2, range(40))
    race.answer(2, range(40), [0.0, 0.0, 1.0, 0.0] * 10)
    many, few, poor = race.expected()
    assert many > few > poor


def test_a_handicap_takes_a_prompt_from_the_lead():
    race, _ = played(40, 120)
    assert race.ranking() == [2, 1, 0]
    race.handicap[2] = 20.0
    assert race.ranking() == [1, 0, 2]


def test_prompts_left_out_are_not_asked():
    race = Race(8)
    for _ in range(2):
        race.add()
    assert race.next(8, without=frozenset({0})) is not None
    asked = race.next(8, without=frozenset({0}))
    assert asked is not None
    assert asked[0] == 1
    assert race.next(8, without=frozenset({0, 1})) is None


def test_nothing_is_asked_without_prompts_rows_or_budget():
    race = Race(4)
    assert race.next(10) is None
    race.add()
    assert race.next(0) is None
    race.ask(0, range(4))
    assert race.next(10) is None


def test_what_other_races_expect_of_a_prompt_counts_until_its_own_answers_do():
    race = Race(40)
    for lean in (1.5, -1.5):
        race.add(lean=lean)
    hopeful, doubted = race.expected()
    assert hopeful > doubted
    for prompt in (0, 1):
        race.ask(prompt, range(40))
        race.answer(prompt, range(40), [float(prompt or row % 2) for row in range(40)])
    assert race.ranking() == [1, 0]


def pair(leads: int, rows: int) -> Race:
    race = Race(rows)
    for prompt in range(2):
        race.add()
        race.ask(prompt, range(rows))
        race.answer(prompt, range(rows), [float(prompt == 0 and row < leads) for row in range(rows)])
    return race


@pytest.mark.parametrize(
    ("leads", "rows", "clear"), [(20, 40, True), (1, 40, False), (7, 7, False), (0, 40, False)]
)
def test_a_prompt_is_clearly_better_by_enough_rows_that_both_answered(leads: int, rows: int, clear: bool):
    race = pair(leads, rows)
    assert race.clearly_better(0, 1) == clear
    assert not race.clearly_better(1, 0)


def with_variant(scores: list[float], variant: list[float]) -> Race:
    """A prompt that has answered every row, and a variant of it that has answered the first few."""
    race = Race(len(scores))
    race.add()
    race.add(variant_of=0)
    race.add(variant_of=1)
    for prompt, values in enumerate((scores, variant)):
        race.ask(prompt, range(len(values)))
        race.answer(prompt, range(len(values)), values)
    return race


def test_a_variant_that_is_no_better_is_asked_no_more_and_never_leads():
    race = with_variant([1.0, 0.0] * 20, [1.0, 0.0] * 4)
    assert race.settled() == [1]
    assert race.ranking() == [0]
    found = race.next(100)
    assert found is not None
    assert found[0] == 2


def test_a_variant_that_leads_or_has_answered_few_rows_is_asked_on():
    assert with_variant([1.0, 0.0] * 20, [1.0] * 8).settled() == []
    assert with_variant([1.0, 0.0] * 20, [1.0, 0.0] * 3).settled() == []
    assert with_variant([1.0, 0.0] * 20, [1.0] * 8).ranking() == [1, 0]


def test_a_variant_answers_the_rows_of_what_it_varies_first():
    race = Race(30)
    race.add()
    race.ask(0, range(10, 18))
    race.answer(0, range(10, 18), [0.0, 1.0] * 4)
    variant = race.add(variant_of=0)
    assert race.plain(variant) == 0
    for _ in range(2):
        found = race.next(8, without=frozenset({0}))
        assert found is not None
        race.ask(variant, found[1])
    assert np.flatnonzero(race.asked[variant]).tolist() == list(range(10, 18))


def mixed(budget: int) -> tuple[Race, list[tuple[int, list[int]]]]:
    """A race of prompts of every kind, with a handicap, calls that fail, partial credit and late results."""
    race, flying, decisions = Race(24), list[tuple[int, list[int]]](), list[tuple[int, list[int]]]()
    race.add()
    race.add(lean=0.5)
    race.add(offered=True)
    race.add(variant_of=1)
    race.add(lean=-0.5, offered=True)
    race.add()
    race.handicap[5] = 0.2

    def score(prompt: int, row: int) -> float:
        if (prompt + row) % 11 == 0:
            return math.nan
        chance = (0.3, 0.6, 0.5, 0.8, 0.7, 0.65)[prompt] * (0.5 + 0.05 * (row % 10))
        right = float(random.Random(f"{prompt}/{row}").random() < chance)
        return right if row % 5 else 0.25 + 0.5 * right

    def land() -> None:
        prompt, places = flying.pop(0)
        race.answer(prompt, places, [score(prompt, row) for row in places])

    while (found := race.next(budget)) is not None:
        race.ask(*found)
        decisions.append(found)
        flying.append(found)
        budget -= len(found[1])
        if len(decisions) == 12:
            race.expect(2, 0.8)
        if len(flying) > 2:
            land()
    while flying:
        land()
    return race, decisions


def test_decisions_stay_the_same_between_versions():
    """A run that is resumed by a later version must take the same path: its calls are looked up by it."""
    race, decisions = mixed(88)
    assert decisions == [
        *((0, [0, 1, 2, 3]), (2, [0, 1, 2, 3]), (3, [0, 1, 2, 3]), (1, [0, 4, 5, 6]), (5, [0, 4, 5, 6])),
        *((2, [4, 5, 6, 7]), (3, [5, 4, 6, 7]), (1, [7, 8, 9, 10]), (2, [8, 9, 10, 11]), (3, [8, 9, 10, 11])),
        *((2, [12, 13, 14, 15]), (3, [12, 13, 14, 15]), (2, [16, 17, 18, 19]), (3, [16, 17, 18, 19])),
        *((0, [5, 13, 7, 10]), (3, [20, 21, 22, 23]), (2, [20, 21, 22, 23]), (5, [13, 7, 10, 11])),
        *((1, [13, 20, 11, 15]), (5, [20, 21, 15, 16]), (1, [21, 16, 17, 19]), (0, [20, 15, 4, 16])),
    ]
    assert race.ranking() == [2, 3, 1, 5, 0]
    assert race.expected() == pytest.approx(
        [0.160498, 0.3000364, 0.3856542, 0.341787, 0.1978252, 0.2853407], abs=1e-6
    )


def test_evidence_stays_the_same_between_versions():
    race, _ = mixed(88)
    race.expected()
    evidence = race.evidence()
    assert {prompt: (one.estimate, one.error) for prompt, one in evidence.items()} == {
        0: pytest.approx((-1.612204, 0.880983), abs=1e-5),
        1: pytest.approx((0.187133, 0.46742), abs=1e-5),
        2: pytest.approx((0.851339, 0.297299), abs=1e-5),
        3: pytest.approx((0.741891, 0.316334), abs=1e-5),
        5: pytest.approx((0.287995, 0.560264), abs=1e-5),
    }


def test_untried_are_those_of_the_races_own_that_were_asked_nothing():
    race = Race(8)
    race.add(offered=True)
    race.add()
    race.add()
    assert race.untried() == [1, 2]
    race.ask(1, [0])
    assert race.untried() == [2]


def test_an_offered_prompt_that_was_asked_is_one_of_the_races_own():
    race = Race(8)
    race.add(lean=-1.0, offered=True)
    race.ask(0, [0, 1])
    race.answer(0, [0, 1], [0.0, 0.0])
    assert race.next(8) == (0, [2, 3, 4, 5])


def test_an_offered_prompt_that_is_worth_little_is_asked_when_nothing_else_will_be():
    race = Race(4)
    race.add()
    race.add(lean=-3.0, offered=True)
    race.ask(0, range(4))
    race.answer(0, range(4), [1.0] * 4)
    assert race.next(8) is None
    assert race.next(8, last=True) == (1, [0, 1, 2, 3])


def test_a_variant_of_a_variant_varies_the_plain_prompt():
    race = Race(4)
    race.add()
    race.add(variant_of=0)
    race.add(variant_of=1)
    assert [race.plain(prompt) for prompt in range(3)] == [None, 0, 0]


@pytest.mark.parametrize(
    ("wins", "losses", "clear"), [(8, 0, True), (9, 2, True), (9, 3, False), (7, 0, False)]
)
def test_a_lead_is_clear_by_more_than_two_standard_errors_on_eight_rows(wins: int, losses: int, clear: bool):
    race = Race(wins + losses + 1)
    rows = range(wins + losses)
    for scores in ([1.0] * wins + [0.0] * losses, [0.0] * wins + [1.0] * losses):
        prompt = race.add()
        race.ask(prompt, rows)
        race.answer(prompt, rows, scores)
    assert race.clearly_better(0, 1) == clear


def test_what_other_races_expect_counts_from_the_moment_it_is_known():
    race = pair(20, 40)
    race.add()
    for _ in range(5):
        race.next(4)
    before = race.expected()[2]
    race.expect(2, 1.0)
    assert race.expected(fit=False)[2] > before


def test_expectations_without_a_fit_are_those_of_the_latest():
    race = Race(400)
    for _ in range(2):
        prompt = race.add()
        race.ask(prompt, range(300))
        race.answer(prompt, range(300), [1.0, 0.0] * 150)
    for _ in range(4):  # the model is fitted with each of the first looks
        race.expected()
    before = race.expected().tolist()
    race.ask(0, [300])
    race.answer(0, [300], [1.0])
    assert race.expected(fit=False).tolist() == before
    assert race.ranking(fit=False) == [0, 1]
    assert race.expected().tolist() != before
