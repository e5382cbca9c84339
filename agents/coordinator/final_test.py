"""The final test: the chosen and the original prompts on the test rows, once."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from ...runtime.concurrency import Done, settle
from ...runtime.errors import BudgetReached
from ...runtime.evaluation.calibration import calibration
from ...runtime.evaluation.objective import Objective
from ...runtime.evaluation.ratings import Preference
from ...runtime.evaluation.scorecard import Chance, Scorecard, chance
from ...runtime.evaluation.statistics import gains
from ...runtime.messages import ProblemMet, TargetTested
from ...runtime.prompt import Prompt
from ...runtime.record.history import Record
from ...runtime.record.responses import Responses
from ...runtime.record.results import Part, PromptEntry, TargetResult, Transfer
from ...runtime.search.candidates import Pair
from ...runtime.tasks.task import Task
from .evaluator import Panel, Verdict
from .search import Finalist


class Sitting(msgspec.Struct, frozen=True):
    """What is to be tested on one task with some models: the original, the best, and source prompts.

    `validated` is the original as it did on validation, None where it was not measured there.
    """

    task: str
    models: tuple[str, ...]
    original: Prompt
    best: Finalist
    validated: Finalist | None = None
    sources: tuple[Prompt, ...] = ()


class Paper(msgspec.Struct, frozen=True):
    """What one prompt handed in: its verdict on test, and its scorecards by model."""

    verdict: Verdict
    cards: dict[str, Scorecard]


class Examination:
    """Tests every prompt of a sitting on the whole test split, and compares them row by row.

    `spent` says whether the budget ended before everything was compared. Every response is kept in
    `responses`.
    """

    def __init__(
        self,
        record: Record,
        panel: Panel,
        *,
        responses: Responses,
        tasks: Mapping[str, Task],
        objective: Objective,
        seed: int,
    ) -> None:
        self._record = record
        self._panel = panel
        self._responses = responses
        self._tasks = tasks
        self._objective = objective
        self._seed = seed
        self.spent = False

    async def sit(self, sitting: Sitting) -> tuple[list[TargetResult], list[Transfer]]:
        """The results by model; a model that is lost has none.

        Raises BudgetReached when the budget ends first; then there is no result for this sitting.
        """
        papers = await self._papers(sitting)
        self._keep(sitting, papers)
        results: list[TargetResult] = []
        transfers: list[Transfer] = []
        for model in sitting.models:
            pair = (sitting.task, model)
            if all(pair in paper.verdict.scored for paper in papers.values()):
                result = await self._result(sitting, model, papers)
                results.append(result)
                for source in sitting.sources:
                    card = papers[source.id].cards[model]
                    gap = _minus(result.best.scorecard.objective, card.objective)
                    transfers.append(Transfer(source.id, sitting.task, model, card, gap))
                await self._tell(sitting, model, papers)
        return results, transfers

    async def _papers(self, sitting: Sitting) -> dict[str, Paper]:
        prompts = {
            prompt.id: prompt
            for prompt in (sitting.original, sitting.best.candidate.prompt, *sitting.sources)
        }

        rows = {sitting.task: self._panel.rows(sitting.task, "test")}

        async def one(prompt: Prompt) -> Verdict:
            every = len(rows[sitting.task])
            return await self._panel.score(prompt, rows, models=sitting.models, responses=every, final=True)

        ends = await settle(prompts.values(), one, limit=len(prompts), catch=(BudgetReached,))
        papers: dict[str, Paper] = {}
        for id, end in zip(prompts, ends, strict=True):
            if not isinstance(end, Done):
                raise end.error
            cards = self._panel.cards(end.value, intervals=True)
            papers[id] = Paper(end.value, cards.get(sitting.task, {}))
        return papers

    def _keep(self, sitting: Sitting, papers: Mapping[str, Paper]) -> None:
        self._responses.ask(sitting.task, self._panel.rows(sitting.task, "test"))
        for prompt, paper in papers.items():
            for (task, model), scored in paper.verdict.scored.items():
                self._responses.give(task, model, prompt, scored.responses)

    async def _result(self, sitting: Sitting, model: str, papers: Mapping[str, Paper]) -> TargetResult:
        task, pair = sitting.task, (sitting.task, model)
        chosen, original = sitting.best.candidate.prompt, sitting.original
        best, baseline = papers[chosen.id], papers[original.id]
        card = best.cards[model]
        validation = sitting.best.scores.get(task, {}).get(model) if sitting.best.verdict else None
        return TargetResult(
            task=task,
            model=model,
            baseline=self._part(original, pair, baseline, sitting.validated),
            best=self._part(chosen, pair, best, sitting.best),
            gain=gains(
                best.verdict.outcomes[pair],
                baseline.verdict.outcomes[pair],
                self._objective,
                seed=self._seed,
                judged=(card.judged, baseline.cards[model].judged),
            ),
            preference=None if chosen.id == original.id else await self._preference(best, baseline, pair),
            validation=validation,
            selection_bias=_minus(validation.objective, card.objective) if validation else None,
            chance=self._chance(task),
        )

    def _part(self, prompt: Prompt, pair: Pair, paper: Paper, validated: Finalist | None) -> Part:
        before = validated.verdict.outcomes.get(pair) if validated and validated.verdict else None
        test = paper.verdict.outcomes[pair]
        return Part(
            prompt=PromptEntry.of(prompt),
            scorecard=paper.cards[pair[1]],
            calibration=calibration(before, test, self._objective.binning) if before else None,
        )

    async def _preference(self, best: Paper, baseline: Paper, pair: Pair) -> Preference | None:
        """What the judge prefers; a budget that ends here costs this alone, not the whole sitting."""
        try:
            return await self._panel.compare(best.verdict.scored[pair], baseline.verdict.scored[pair])
        except BudgetReached as spent:
            self.spent = True
            await self._record(ProblemMet(pair[0], f"responses were not compared: {spent}"))
            return None

    def _chance(self, task: str) -> Chance:
        return chance(self._tasks[task].answers, self._panel.rows(task, "test"))

    async def _tell(self, sitting: Sitting, model: str, papers: Mapping[str, Paper]) -> None:
        parts: list[tuple[Literal["baseline", "best", "transfer"], Prompt]] = [
            ("baseline", sitting.original),
            ("best", sitting.best.candidate.prompt),
            *(("transfer", source) for source in sitting.sources),
        ]
        for part, prompt in parts:
            card = papers[prompt.id].cards[model]
            await self._record(TargetTested(sitting.task, model, part, prompt, card))


def _minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
