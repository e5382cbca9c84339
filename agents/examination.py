"""The examination: what was chosen meets the test rows, once, beside the original prompt."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from ..runtime.concurrency import Done, settle
from ..runtime.errors import BudgetReached
from ..runtime.evaluation.baselines import Chance, chance
from ..runtime.evaluation.objective import Objective
from ..runtime.evaluation.paired import gains
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
        verdicts = await self._verdicts(sitting)
        results: list[TargetResult] = []
        transfers: list[Transfer] = []
        for model in sitting.models:
            pair = (sitting.task, model)
            if all(pair in verdict.outcomes for verdict in verdicts.values()):
                result = self._result(sitting, model, verdicts)
                results.append(result)
                for source in sitting.sources:
                    card = verdicts[source.id].scores[sitting.task][model]
                    gap = _minus(result.best.scorecard.objective, card.objective)
                    transfers.append(Transfer(source.id, sitting.task, model, card, gap))
                await self._tell(sitting, model, verdicts)
        return results, transfers

    async def _verdicts(self, sitting: Sitting) -> dict[str, Verdict]:
        prompts = {
            prompt.id: prompt
            for prompt in (sitting.original, sitting.best.candidate.prompt, *sitting.sources)
        }

        async def one(prompt: Prompt) -> Verdict:
            return await self._panel.score(
                prompt, "test", tasks=[sitting.task], models=sitting.models, intervals=True
            )

        ends = await settle(prompts.values(), one, limit=len(prompts), catch=(BudgetReached,))
        verdicts: dict[str, Verdict] = {}
        for id, end in zip(prompts, ends, strict=True):
            if not isinstance(end, Done):
                raise end.error
            verdicts[id] = end.value
        return verdicts

    def _result(self, sitting: Sitting, model: str, verdicts: Mapping[str, Verdict]) -> TargetResult:
        task, pair = sitting.task, (sitting.task, model)
        best, original = sitting.best.candidate.prompt, sitting.original
        of_best, of_original = verdicts[best.id], verdicts[original.id]
        validated = sitting.best.verdict
        validation = validated.scores.get(task, {}).get(model) if validated else None
        card = of_best.scores[task][model]
        return TargetResult(
            task=task,
            model=model,
            baseline=Part(PromptEntry.of(original), of_original.scores[task][model]),
            best=Part(PromptEntry.of(best), card),
            gain=gains(of_best.outcomes[pair], of_original.outcomes[pair], self._objective, seed=self._seed),
            validation=validation,
            selection_bias=_minus(validation.objective, card.objective) if validation else None,
            chance=self._chance(task),
        )

    def _chance(self, task: str) -> Chance:
        return chance(self._tasks[task].answers, self._panel.rows(task, "test"))

    async def _tell(self, sitting: Sitting, model: str, verdicts: Mapping[str, Verdict]) -> None:
        parts: list[tuple[Literal["baseline", "best", "transfer"], Prompt]] = [
            ("baseline", sitting.original),
            ("best", sitting.best.candidate.prompt),
            *(("transfer", source) for source in sitting.sources),
        ]
        for part, prompt in parts:
            card = verdicts[prompt.id].scores[sitting.task][model]
            await self._record(TargetTested(sitting.task, model, part, prompt, card))


def _minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
