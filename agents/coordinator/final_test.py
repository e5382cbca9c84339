"""The final test: the chosen and the original prompts answer the test rows, once."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, TypeVar

import msgspec

from ...runtime.concurrency import off_loop, run_all
from ...runtime.errors import BudgetReached
from ...runtime.evaluation.calibration import calibration
from ...runtime.evaluation.objective import Objective
from ...runtime.evaluation.outcomes import flaws
from ...runtime.evaluation.ratings import Preference
from ...runtime.evaluation.scorecard import chance
from ...runtime.evaluation.statistics import gains
from ...runtime.messages import ProblemMet, TargetTested
from ...runtime.prompt import Prompt
from ...runtime.record.history import Record
from ...runtime.record.responses import Responses
from ...runtime.record.results import PromptEntry, PromptResult, TargetResult, Transfer
from ...runtime.search.scores import Pair, Scores
from ...runtime.tasks.example import digest
from ...runtime.tasks.task import Task
from .evaluator import Evaluation, Evaluator
from .selection import Choice

T = TypeVar("T")

QUICK_ROWS = 64
"""Test rows of which scorecards, intervals and differences take some milliseconds; resampling 10,000 takes
seconds."""


class FinalTestPlan(msgspec.Struct, frozen=True):
    """The prompts to test on one task with some models: the original, the best, and others.

    `searched` is the original as the search evaluated it, None where it was not measured there.
    """

    task: str
    models: tuple[str, ...]
    original: Prompt
    best: Choice
    searched: Choice | None = None
    others: tuple[Prompt, ...] = ()


class FinalTest:
    """Tests every prompt of a plan on the whole test split, and compares them row by row.

    `exhausted` is set when the budget ended before everything was compared. Every response is kept in
    `responses`.
    """

    def __init__(
        self,
        record: Record,
        evaluator: Evaluator,
        *,
        responses: Responses,
        tasks: Mapping[str, Task],
        objective: Objective,
        seed: int,
    ) -> None:
        self._record = record
        self._evaluator = evaluator
        self._responses = responses
        self._tasks = tasks
        self._objective = objective
        self._seed = seed
        self.exhausted = False

    async def run(self, plan: FinalTestPlan) -> tuple[list[TargetResult], list[Transfer]]:
        """The results by model; a model that is lost has none.

        Raises BudgetReached when the budget ends first; then there is no result for this plan.
        """
        tested = await self._tested(plan)
        cards = await self._off_loop(plan, partial(self._cards, tested))
        await self._off_loop(plan, partial(self._keep, plan, tested))
        results: list[TargetResult] = []
        transfers: list[Transfer] = []
        for model in plan.models:
            pair = (plan.task, model)
            if not all(pair in evaluation.scored for evaluation in tested.values()):
                continue
            result = await self._result(plan, pair, tested, cards)
            results.append(result)
            for other in plan.others:
                card = cards[other.id][plan.task][model]
                gap = _minus(result.best.scorecard.objective, card.objective)
                transfers.append(Transfer(other.id, plan.task, model, card, gap))
            await self._publish(plan, model, cards)
        return results, transfers

    async def _tested(self, plan: FinalTestPlan) -> dict[str, Evaluation]:
        prompts = {prompt.id: prompt for prompt in (plan.original, plan.best.prompt, *plan.others)}
        rows = {plan.task: self._evaluator.rows(plan.task, "test")}
        every = len(rows[plan.task])

        async def one(prompt: Prompt) -> Evaluation:
            return await self._evaluator.score(prompt, rows, models=plan.models, responses=every, final=True)

        evaluations = await run_all(prompts.values(), one, limit=len(prompts), catch=(BudgetReached,))
        return dict(zip(prompts, evaluations, strict=True))

    async def _off_loop(self, plan: FinalTestPlan, do: Callable[[], T]) -> T:
        return await off_loop(do, rows=len(self._evaluator.rows(plan.task, "test")), quick=QUICK_ROWS)

    def _cards(self, tested: Mapping[str, Evaluation]) -> dict[str, Scores]:
        return {id: self._evaluator.cards(evaluation, intervals=True) for id, evaluation in tested.items()}

    def _keep(self, plan: FinalTestPlan, tested: Mapping[str, Evaluation]) -> None:
        self._responses.ask(plan.task, self._evaluator.rows(plan.task, "test"))
        for prompt, evaluation in tested.items():
            for (task, model), scored in evaluation.scored.items():
                self._responses.give(task, model, prompt, scored.responses)

    async def _result(
        self, plan: FinalTestPlan, pair: Pair, tested: Mapping[str, Evaluation], cards: Mapping[str, Scores]
    ) -> TargetResult:
        task, model = pair
        chosen, original = plan.best.prompt, plan.original
        best, baseline = tested[chosen.id], tested[original.id]
        card, base = cards[chosen.id][task][model], cards[original.id][task][model]
        gain = partial(
            gains,
            best.outcomes[pair],
            baseline.outcomes[pair],
            self._objective,
            seed=self._seed,
            judged=(card.judged, base.judged),
        )
        search = plan.best.scores.get(task, {}).get(model)
        return TargetResult(
            task=task,
            model=model,
            baseline=self._part(original, pair, baseline, cards, plan.searched),
            best=self._part(chosen, pair, best, cards, plan.best),
            gain=await self._off_loop(plan, gain),
            test_rows=await self._off_loop(plan, partial(digest, self._evaluator.rows(task, "test"))),
            preference=None if chosen.id == original.id else await self._preference(best, baseline, pair),
            search=search,
            selection_bias=_minus(plan.best.objective, card.objective),
            chance=chance(self._tasks[task].answers, self._evaluator.rows(task, "test")),
        )

    def _part(
        self,
        prompt: Prompt,
        pair: Pair,
        evaluation: Evaluation,
        cards: Mapping[str, Scores],
        searched: Choice | None,
    ) -> PromptResult:
        before = None if searched is None else searched.evaluation.outcomes.get(pair)
        test = evaluation.outcomes[pair]
        return PromptResult(
            prompt=PromptEntry.of(prompt),
            scorecard=cards[prompt.id][pair[0]][pair[1]],
            calibration=calibration(before, test, self._objective.binning) if before else None,
            flaws=flaws(evaluation.scored[pair].responses),
        )

    async def _preference(self, best: Evaluation, baseline: Evaluation, pair: Pair) -> Preference | None:
        """The judge's preference; a budget that ends here costs this alone, not the whole test."""
        try:
            return await self._evaluator.compare(best.scored[pair], baseline.scored[pair])
        except BudgetReached as exhausted:
            self.exhausted = True
            await self._record(ProblemMet(pair[0], f"responses were not compared: {exhausted}"))
            return None

    async def _publish(self, plan: FinalTestPlan, model: str, cards: Mapping[str, Scores]) -> None:
        parts: list[tuple[Literal["baseline", "best", "transfer"], Prompt]] = [
            ("baseline", plan.original),
            ("best", plan.best.prompt),
            *(("transfer", other) for other in plan.others),
        ]
        for part, prompt in parts:
            card = cards[prompt.id][plan.task][model]
            await self._record(TargetTested(plan.task, model, part, prompt, card))


def _minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
