"""The rows of a race: every row once, every stretch a small image of the whole; the score of one row."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.evaluation.objective import Objective
from transfer_prompting.runtime.evaluation.outcomes import Graded
from transfer_prompting.runtime.evaluation.own_metrics import measured
from transfer_prompting.runtime.evaluation.ratings import Rated
from transfer_prompting.runtime.search.rows import MOST_ROWS, arrange, row_score
from transfer_prompting.runtime.tasks.example import Example

from support.graded import graded


def rows(count: int, labels: tuple[str, ...] = ("a", "b")) -> list[Example]:
    return [Example(f"{i:03d}", f"Question {i}?", labels[i % len(labels)]) for i in range(count)]


@given(st.integers(1, 60), st.integers(1, 60))
def test_every_row_of_every_task_has_one_place_and_every_place_a_row(one: int, other: int):
    given_rows = {"one": rows(one), "other": rows(other)}
    places = arrange(given_rows, seed=3)
    assert len(places) == max(one, other)
    assert all(places)
    for task, part in given_rows.items():
        placed = [place[task].id for place in places if task in place]
        assert sorted(placed) == [row.id for row in part]


@given(st.integers(1, 40), st.integers(41, 80))
def test_rows_of_a_smaller_task_are_spread_evenly(few: int, many: int):
    places = arrange({"small": rows(few), "large": rows(many)}, seed=3)
    at = [i for i, place in enumerate(places) if "small" in place]
    gaps = [after - before for before, after in pairwise(at)]
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


def test_every_stretch_holds_its_share_of_every_gold_answer():
    places = arrange({"t": rows(60, ("a", "b", "c"))}, seed=1)
    for start in range(0, 60, 15):
        golds = Counter(place["t"].gold for place in places[start : start + 15])
        assert all(4 <= count <= 6 for count in golds.values())
        assert len(golds) == 3


def test_the_order_depends_on_the_seed_and_not_on_the_order_of_the_rows():
    first = arrange({"t": rows(30)}, seed=1)
    assert arrange({"t": list(reversed(rows(30)))}, seed=1) == first
    assert arrange({"t": rows(30)}, seed=2) != first


def test_the_order_stays_the_same_between_versions():
    """A run that is resumed by a later version must ask the same rows."""
    order = "003 008 001 004 005 010 009 011 007 000 002 006"
    assert [place["t"].id for place in arrange({"t": rows(12, ("a", "a", "b"))}, seed=1)] == order.split()
    assert [place["u"].id for place in arrange({"u": rows(12, ("a", "a", "b"))}, seed=1)] != order.split()


def test_at_most_as_many_places_are_arranged_as_asked_for():
    places = arrange({"large": rows(30), "small": rows(4)}, seed=1, most=8)
    assert len(places) == 8
    assert [i for i, place in enumerate(places) if "small" in place] == [0, 2, 4, 6]


def test_of_a_large_task_a_stratified_part_is_raced_on():
    many = rows(4 * MOST_ROWS, ("a", "a", "a", "b"))
    places = arrange({"t": many}, seed=1)
    golds = Counter(place["t"].gold for place in places)
    assert len(places) == MOST_ROWS
    assert golds["b"] == pytest.approx(MOST_ROWS / 4, abs=2)


def scored(weights: dict[str, float], rated: Rated | None = None, **response: object) -> float:
    return row_score(graded("1", **response), Objective(weights), rated)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("metric", ["ece", "auroc", "auprc_p", "auprc_n"])
def test_of_calibration_and_ranking_a_row_shows_its_brier_score(metric: str):
    weights = {metric: 1.0}
    assert scored(weights, confidence=0.9) == pytest.approx(1 - 0.1**2)
    assert scored(weights, confidence=0.9, right=False) == pytest.approx(1 - 0.9**2)
    assert scored(weights, confidence=0.9, read=False) == 0.0


def test_parts_of_the_objective_that_a_row_lacks_leave_their_weight_to_the_others():
    weights = {"accuracy": 0.5, "ece": 0.3, "judged.tone": 0.2}
    assert scored(weights, confidence=None) == 1.0
    assert scored(weights, confidence=None, right=False) == 0.0
    tone = Rated("1", {"tone": 2}, {"tone": 2})
    assert scored(weights, tone, confidence=None) == pytest.approx((0.5 * 1 + 0.2 * 0.25) / 0.7)


def test_credit_and_format_count_by_their_weights():
    weights = {"accuracy": 0.6, "ifr": 0.4}
    assert scored(weights, credit=0.5) == pytest.approx(0.6 * 0.5 + 0.4)
    assert scored(weights, followed=False) == pytest.approx(0.6)


async def test_a_metric_of_ones_own_is_asked_about_the_row_alone():
    def short(rows: list[Graded]) -> float:
        return float(all(one.completion_tokens < 5 for one in rows))

    rows, _ = await measured(
        {"own:short": short}, {"own:short"}, [graded("1", tokens=3), graded("2", tokens=9)]
    )
    values = [row_score(row, Objective({"own:short": 1.0}), None) for row in rows]
    assert values == [1.0, 0.0]
