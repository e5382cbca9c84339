"""The panel: rows in blocks come to what they come to at once, and nothing is kept beyond its bound."""

import pytest

from transfer_prompting.agents.messages import Scored
from transfer_prompting.agents.panel import Verdict
from transfer_prompting.runtime.evaluation.custom import Own
from transfer_prompting.runtime.evaluation.outcomes import Outcomes

from support.graded import graded
from support.panels import PROMPT, panel, right_every, rows


@pytest.mark.parametrize("intervals", [False, True])
async def test_rows_answered_in_blocks_come_to_what_they_come_to_at_once(intervals: bool):
    every = rows(30)
    async with panel(right_every(4)) as asked:
        whole = await asked.score(PROMPT, {"mails": every}, models=["small"], responses=3)
        blocks = [
            await asked.score(PROMPT, {"mails": every[at : at + 10]}, models=["small"], responses=3)
            for at in (20, 0, 10)
        ]
        together = blocks[0].merged(blocks[1]).merged(blocks[2])
        assert together == whole
        assert asked.cards(together, intervals=intervals) == asked.cards(whole, intervals=intervals)
        assert asked.measure(asked.cards(together)) == asked.measure(asked.cards(whole))


async def test_of_all_blocks_the_worst_responses_are_kept_and_no_more_than_asked_for():
    every = rows(30)
    async with panel(right_every(4)) as asked:
        first, second = [
            await asked.score(PROMPT, {"mails": part}, models=["small"], responses=2)
            for part in (every[:15], every[15:])
        ]
    kept = first.merged(second).scored["mails", "small"].responses
    assert [response.example for response in kept] == ["000", "004"]


async def test_a_row_that_was_answered_before_is_refused():
    async with panel(right_every(4)) as asked:
        one = await asked.score(PROMPT, {"mails": rows(10)}, models=["small"])
        other = await asked.score(PROMPT, {"mails": rows(3, first=9)}, models=["small"])
    with pytest.raises(ValueError, match="more than one response to example 009"):
        one.merged(other)


async def test_no_rows_make_no_scorecard_claim_anything():
    async with panel(right_every(4)) as asked:
        verdict = await asked.score(PROMPT, {"mails": ()}, models=["small"])
        card = asked.cards(verdict)["mails"]["small"]
        assert (card.n, card.objective, asked.measure(asked.cards(verdict))) == (0, None, None)


def test_a_pair_that_only_one_of_two_verdicts_knows_is_kept():
    one = Verdict({("mails", "small"): Scored(outcomes=Outcomes.of([graded("1")]))})
    other = Verdict({("mails", "large"): Scored(outcomes=Outcomes.of([graded("1")]))})
    assert one.merged(other).outcomes.keys() == {("mails", "small"), ("mails", "large")}


def test_metrics_of_ones_own_are_means_over_rows_of_all_blocks():
    parts = [{"own:f": Own(0.5, 10), "own:g": Own(1.0, 10)}, {"own:f": Own(1.0, 30)}]
    one, other = (Scored(outcomes=Outcomes(), own=own) for own in parts)
    assert one.merged(other).own == {"own:f": Own(0.875, 40), "own:g": Own(1.0, 10)}
