"""The evaluator: rows in blocks come to what they come to at once, and what is judged is judged fairly."""

from functools import reduce

import anyio
import pytest

from transfer_prompting.agents.coordinator.evaluator import Evaluation
from transfer_prompting.agents.judge.rubrics import Judging
from transfer_prompting.runtime.evaluation.objective import Objective
from transfer_prompting.runtime.evaluation.outcomes import Failed, Graded, Outcomes, Reply
from transfer_prompting.runtime.evaluation.own_metrics import Own
from transfer_prompting.runtime.evaluation.ratings import Preference
from transfer_prompting.runtime.messages import Answer, Answered, JudgedResponse, Scored
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.tasks.answers import answer_space
from transfer_prompting.runtime.tasks.example import Example, Splits
from transfer_prompting.runtime.tasks.task import Reading, Task

from support.evaluators import PROMPT, evaluator, right_every, rows
from support.graded import graded


@pytest.mark.parametrize("intervals", [False, True])
async def test_rows_answered_in_blocks_come_to_what_they_come_to_at_once(intervals: bool):
    every = rows(30)
    async with evaluator(right_every(4)) as asked:
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
    async with evaluator(right_every(4)) as asked:
        first, second = [
            await asked.score(PROMPT, {"mails": part}, models=["small"], responses=2)
            for part in (every[:15], every[15:])
        ]
    kept = first.merged(second).scored["mails", "small"].responses
    assert [response.example for response in kept] == ["000", "004"]


async def test_a_server_that_goes_away_with_many_batches_loses_its_target_alone():
    server, asked = anyio.CancelScope(), 0

    async def leave(request: Answer) -> Answered:
        nonlocal asked
        asked += 1
        if asked == 3:
            server.cancel()
        await anyio.sleep_forever()
        raise AssertionError

    async with evaluator(right_every(4), answers=leave, within=server) as lonely:
        lost = await lonely.score(PROMPT, {"mails": rows(60)}, models=["small"])
    assert lost.scored == {}
    assert "stopped before it answered" in lonely.lost["small"]


async def test_a_row_that_was_answered_before_is_refused():
    async with evaluator(right_every(4)) as asked:
        one = await asked.score(PROMPT, {"mails": rows(10)}, models=["small"])
        other = await asked.score(PROMPT, {"mails": rows(3, first=9)}, models=["small"])
    with pytest.raises(ValueError, match="more than one response to example 009"):
        one.merged(other)


async def test_no_rows_make_no_scorecard_claim_anything():
    async with evaluator(right_every(4)) as asked:
        evaluation = await asked.score(PROMPT, {"mails": ()}, models=["small"])
        assert asked.cards(evaluation) == {}
        assert asked.measure(asked.cards(evaluation)) is None


def test_a_pair_that_only_one_of_two_evaluations_knows_is_kept():
    one = Evaluation(PROMPT, {("mails", "small"): Scored(outcomes=Outcomes.of([graded("1")]))})
    other = Evaluation(PROMPT, {("mails", "large"): Scored(outcomes=Outcomes.of([graded("1")]))})
    assert one.merged(other).outcomes.keys() == {("mails", "small"), ("mails", "large")}


def test_metrics_of_ones_own_are_means_over_rows_of_all_blocks():
    parts = [{"own:f": Own(0.5, 10), "own:g": Own(1.0, 10)}, {"own:f": Own(1.0, 30)}]
    one, other = (Scored(outcomes=Outcomes(), own=own) for own in parts)
    assert one.merged(other).own == {"own:f": Own(0.875, 40), "own:g": Own(1.0, 10)}


RELEVANCE = Judging(responses={"relevance": "Is it?"}, sample=4, weighed=frozenset({"relevance"}))
WEIGHED = Objective({"accuracy": 1, "judged.relevance": 1}, require={"judged.relevance": 2})
SPLITS = Splits(rows(12), rows(8, first=12), rows(8, first=20))


async def test_the_same_rows_of_every_split_are_judged_whatever_the_blocks_and_the_prompt():
    judged: list[set[str]] = []
    async with evaluator(right_every(4), splits=SPLITS, objective=WEIGHED, judging=RELEVANCE) as asked:
        for text, size in (("Decide.", 12), ("Sort.", 5), ("Choose.", 1)):
            parts = [SPLITS.train[at : at + size] for at in range(0, 12, size)]
            evaluations = [
                await asked.score(Prompt(text=text), {"mails": part}, models=["small"]) for part in parts
            ]
            whole = reduce(Evaluation.merged, evaluations)
            judged.append({one.item for one in whole.scored["mails", "small"].rated})
    assert len(judged[0]) == 4
    assert judged[0] == judged[1] == judged[2]


async def test_before_the_test_only_what_is_weighed_is_rated():
    shown = Judging(responses={"relevance": "Is it?"}, sample=4)
    async with evaluator(right_every(4), splits=SPLITS, judging=shown) as asked:
        early = await asked.score(PROMPT, {"mails": SPLITS.train}, models=["small"])
        late = await asked.score(PROMPT, {"mails": SPLITS.test}, models=["small"], final=True)
        assert asked.cards(early)["mails"]["small"].judged == {}
        assert asked.cards(late)["mails"]["small"].judged == {"relevance": 3.0}


async def test_ratings_that_cannot_be_used_leave_a_prompt_without_a_measure_and_are_told():
    async with evaluator(
        right_every(4), splits=SPLITS, objective=WEIGHED, judging=RELEVANCE, judge=lambda shown: None
    ) as asked:
        evaluation = await asked.score(PROMPT, {"mails": SPLITS.train}, models=["small"])
        cards = asked.cards(evaluation)
        assert cards["mails"]["small"].judged == {"relevance": None}
        assert cards["mails"]["small"].objective is not None
        assert asked.measure(cards) is None
        assert asked.impaired
        assert asked.unrated is not None
        assert "ratings of relevance can be used (8 ratings: missing)" in asked.unrated


async def test_a_block_without_a_judged_row_is_measured_by_what_it_has():
    async with evaluator(right_every(4), splits=SPLITS, objective=WEIGHED, judging=RELEVANCE) as asked:
        evaluation = await asked.score(PROMPT, {"mails": rows(3, first=40)}, models=["small"])
        cards = asked.cards(evaluation)
        assert cards["mails"]["small"].judged == {}
        assert asked.measure(cards) == cards["mails"]["small"].accuracy
        assert not asked.feasible(cards)


async def test_bounds_are_met_by_the_mean_rating():
    async with evaluator(right_every(4), splits=SPLITS, objective=WEIGHED, judging=RELEVANCE) as asked:
        evaluation = await asked.score(PROMPT, {"mails": SPLITS.train}, models=["small"])
        assert asked.feasible(asked.cards(evaluation))


async def test_equal_responses_are_tied_without_being_asked_about():
    seen: list[str] = []

    def judge(shown: JudgedResponse) -> float:
        seen.append(shown.example)
        return 5.0 if "fine" in shown.response else 1.0

    async with evaluator(right_every(4), splits=SPLITS, judging=RELEVANCE, judge=judge) as asked:
        one = (await asked.score(PROMPT, {"mails": SPLITS.test}, models=["small"], final=True)).scored
        seen.clear()
        same = await asked.compare(one["mails", "small"], one["mails", "small"])
    assert same == Preference(wins=0, losses=0, tied=4, swayed=0, unusable=0, share=0.5)
    assert seen == []


async def test_without_a_judge_nothing_is_compared():
    async with evaluator(right_every(4)) as asked:
        scored = (await asked.score(PROMPT, {"mails": rows(4)}, models=["small"])).scored["mails", "small"]
        assert await asked.compare(scored, scored) is None


STORY = Task("stories", "Tell stories.", answer_space("judged"), "Tell.")
QUALITY = Judging(responses={"quality": "Is it good?"}, sample=2)


async def test_a_judged_answer_without_a_usable_rating_is_failed_and_an_empty_one_is_wrong():
    texts = {"000": "A good story.", "001": "A poor story.", "002": "A riddle.", "003": ""}
    ratings = {"A good story.": 5.0, "A poor story.": 2.0, "A riddle.": None, "": 5.0}
    async with evaluator(
        lambda prompt, question: Reply(example=question.id, text=texts[question.id]),
        task=STORY,
        reading=Reading(read="generate", confidence="none"),
        judging=QUALITY,
        judge=lambda shown: ratings[shown.response],
    ) as asked:
        stories = tuple(Example(id, f"A story about {id}?", "") for id in texts)
        evaluation = await asked.score(PROMPT, {"stories": stories}, models=["small"], responses=4)
        card = asked.cards(evaluation)["stories"]["small"]
    graded = {one.example: one for one in evaluation.scored["stories", "small"].responses}
    assert graded["002"] == Failed("002", "the judge gave no usable rating")
    credits = {id: one.credit for id, one in graded.items() if isinstance(one, Graded)}
    assert credits == {"000": 1.0, "001": 0.25, "003": 0.0}
    assert (card.n, card.failed) == (3, 1)
    assert card.accuracy == pytest.approx(1.25 / 3)


async def test_the_judge_sees_the_row_alone_and_all_that_was_asked():
    seen: list[JudgedResponse] = []

    def judge(shown: JudgedResponse) -> float:
        seen.append(shown)
        return 3.0

    async with evaluator(right_every(4), splits=SPLITS, judging=RELEVANCE, judge=judge) as asked:
        prompt = Prompt(text="Sort with care.", position="system")
        await asked.score(prompt, {"mails": SPLITS.test}, models=["small"], final=True)
    for shown in seen:
        row = next(row for row in SPLITS.test if row.id == shown.example)
        assert shown.row.startswith(row.question)
        assert "Sort with care." not in shown.row
        assert "Sort with care." in shown.asked
        assert "Confidence: NN%" in shown.asked
        assert shown.reference == row.gold
