"""Ladders: how far each rung goes and how many stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.search.race import Rung, ladder, racing


def test_without_a_race_every_candidate_answers_every_block_at_once():
    assert ladder("none", blocks=6, fresh=8) == (Rung(6),)


def test_a_paired_test_is_taken_after_every_block():
    assert ladder("paired", blocks=3, fresh=8) == (Rung(1), Rung(2), Rung(3))


def test_halving_doubles_the_blocks_as_it_halves_the_candidates():
    assert ladder("halving", blocks=8, fresh=8) == (Rung(1, 4), Rung(2, 2), Rung(4, 1), Rung(8))


@pytest.mark.parametrize("method", ["halving", "both"])
@given(blocks=st.integers(1, 40), fresh=st.integers(0, 40))
def test_rungs_ascend_to_the_last_block_and_never_let_more_go_on(method: str, blocks: int, fresh: int):
    rungs = ladder(method, blocks=blocks, fresh=fresh)  # pyright: ignore[reportArgumentType]
    reached = [rung.blocks for rung in rungs]
    assert reached == sorted(set(reached))
    assert reached[-1] == blocks
    most = [rung.most for rung in rungs if rung.most is not None]
    assert most == sorted(most, reverse=True)
    assert all(one >= 1 for one in most) or fresh == 0


def test_eight_candidates_cost_less_than_a_third_of_all_their_answers_when_halved_over_eight_blocks():
    rungs = ladder("halving", blocks=8, fresh=8)
    asked = sum((until - done) * racers for done, until, racers in racing(rungs, 8))
    assert asked == 20
