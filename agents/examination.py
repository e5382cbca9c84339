"""The examination: what was chosen meets the test rows, once, beside the original prompt."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from ..runtime.concurrency import Done, settle
from ..runtime.errors import BudgetReached
from ..runtime.evaluation.baselines import Chance, chance
from ..runtime.evaluation.objective import Objective
from ..runtime.evaluation.paired import gains
from ..runtime.evaluation.scorecard import Scorecard
from ..runtime.prompt import Prompt
from ..runtime.report.results import Part, PromptEntry, TargetResult, Transfer
from ..runtime.tasks.task import Task
from .finals import Finalist
from .messages import TargetTested
from .panel import Panel, Verdict
from .record import Record


class Sitting(msgspec.Struct, frozen=True):
    """What is to be tested on one task with some models: the original, the best, and source prompts."""

    task: str
    models: tuple[str, ...]
    original: Prompt
    best: Finalist
    sources: tuple[Prompt, ...] = ()


class Paper(msgspec.Struct, frozen=True):
    """What one prompt handed in: its verdict on test, and its scorecards by model."""

    verdict: Verdict
    cards: dict[str, Scorecard]


class Examination:
    """Tests every prompt of a sitting on the whole test split, and compares them row by row."""

    def __init__(
        self, record: Record, panel: Panel, *, tasks: Mapping[str, Task], objective: Objective, seed: int
    ) -> None:
        self._record = record
        self._panel = panel
        self._tasks = tasks
        self._objective = objective
        self._seed = seed

    async def sit(self, sitting: Sitting) -> tuple[list[TargetResult], list[Transfer]]:
        """The results by model; a model that is lost has none.

        Raises BudgetReached when the budget ends first; then there is no result for this sitting.
        """
        papers = await self._papers(sitting)
        results: list[TargetResult] = []
        transfers: list[Transfer] = []
        for model in sitting.models:
            pair = (sitting.task, model)
            if all(pair in paper.verdict.scored for paper in papers.values()):
                result = self._result(sitting, model, papers)
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
            return await self._panel.score(prompt, rows, models=sitting.models)

        ends = await settle(prompts.values(), one, limit=len(prompts), catch=(BudgetReached,))
        papers: dict[str, Paper] = {}
        for id, end in zip(prompts, ends, strict=True):
            if not isinstance(end, Done):
                raise end.error
            cards = self._panel.cards(end.value, intervals=True)
            papers[id] = Paper(end.value, cards.get(sitting.task, {}))
        return papers

    def _result(self, sitting: Sitting, model: str, papers: Mapping[str, Paper]) -> TargetResult:
        task, pair = sitting.task, (sitting.task, model)
        best, original = sitting.best.candidate.prompt, sitting.original
        of_best, of_original = papers[best.id], papers[original.id]
        validation = sitting.best.scores.get(task, {}).get(model) if sitting.best.verdict else None
        card = of_best.cards[model]
        return TargetResult(
            task=task,
            model=model,
            baseline=Part(PromptEntry.of(original), of_original.cards[model]),
            best=Part(PromptEntry.of(best), card),
            gain=gains(
                of_best.verdict.outcomes[pair],
                of_original.verdict.outcomes[pair],
                self._objective,
                seed=self._seed,
            ),
            validation=validation,
            selection_bias=_minus(validation.objective, card.objective) if validation else None,
            chance=self._chance(task),
        )

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
