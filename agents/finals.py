"""The finals of a search: its best candidates meet on the whole of validation."""

from collections.abc import Sequence

import msgspec

from ..runtime.concurrency import Done, settle
from ..runtime.errors import BudgetReached
from ..runtime.search.pool import Candidate, Scores
from .messages import PromptScored
from .panel import Panel, Verdict
from .plan import Plan
from .race import AT_ONCE
from .record import Record


class Finalist(msgspec.Struct, frozen=True):
    """A candidate that met the others on validation, with its scorecards and its measure there.

    Where the budget ended first there is no verdict and no measure, and the scorecards are those on train.
    """

    candidate: Candidate
    verdict: Verdict | None
    scores: Scores
    objective: float | None


class Finals:
    """Scores finalists on every validation row of the search's tasks and models."""

    def __init__(self, plan: Plan, *, record: Record, panel: Panel) -> None:
        self._plan = plan
        self._record = record
        self._panel = panel

    async def hold(self, few: Sequence[Candidate]) -> list[Finalist]:
        """The finalists that could be measured: those that meet every required bound first, then the best.

        Raises BudgetReached.
        """
        rows = {task: self._panel.rows(task, "validation") for task in self._plan.tasks}

        async def one(candidate: Candidate) -> Verdict:
            return await self._panel.score(candidate.prompt, rows, models=self._plan.models)

        ends = await settle(few, one, limit=AT_ONCE, catch=(BudgetReached,))
        finalists: list[Finalist] = []
        for candidate, end in zip(few, ends, strict=True):
            if not isinstance(end, Done):
                raise end.error
            finalists.append(await self._told(candidate, end.value))
        able = [finalist for finalist in finalists if finalist.objective is not None]
        return sorted(
            able,
            key=lambda f: (
                not self._panel.feasible(f.scores),
                -(f.objective or 0.0),
                f.candidate.prompt.id,
            ),
        )

    async def _told(self, candidate: Candidate, verdict: Verdict) -> Finalist:
        scores = self._panel.cards(verdict)
        objective = self._panel.measure(scores)
        scored = PromptScored(
            self._plan.scope,
            candidate.step,
            "validation",
            candidate.prompt,
            objective,
            scores,
        )
        await self._record(scored)
        return Finalist(candidate, verdict, scores, objective)
