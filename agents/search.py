"""One optimisation loop: propose from the history, score, repeat."""

from collections.abc import Mapping, Sequence

import msgspec

from ..runtime.bus import Bus
from ..runtime.concurrency import Done, settle
from ..runtime.errors import BudgetReached, CallFailed, EndpointError
from ..runtime.evaluation.response import Graded
from ..runtime.prompt import Prompt
from ..runtime.randomness import generator
from ..runtime.search.pool import Candidate, Pool
from ..runtime.tasks.example import Example
from ..runtime.tasks.task import Task
from ..scenarios import Reference as ReferenceSettings
from .messages import (
    Brief,
    Exemplar,
    Failure,
    Past,
    ProblemMet,
    PromptScored,
    PromptsKept,
    PromptsProposed,
    Propose,
    Proposed,
    Stage,
    StageStarted,
    StepEnded,
)
from .panel import Panel, Verdict
from .record import Record

CANDIDATES_AT_ONCE = 64
"""Prompts being scored at once; what runs at once is the endpoints' business, this bounds memory."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one search is to do.

    `models` are the targets the prompts are for; `answerers` answer on train (the same models, or the
    scorer LLM as their proxy). Randomness is drawn from `seed` and `scope`, which names the search.
    """

    stage: Stage
    scope: str
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    answerers: tuple[str, ...]
    steps: int
    finalists: int
    keep: int
    reference: ReferenceSettings
    seed: int


class Finalist(msgspec.Struct, frozen=True):
    """A candidate that met the others on validation, with its measure there (None: not measured)."""

    candidate: Candidate
    verdict: Verdict | None
    objective: float | None


class Search:
    """Source prompt construction, or target prompt generation for one task (paper, section 3).

    Steps are barriers: a step's candidates are proposed together from one history and scored together, and
    what follows depends on their scores, never on who finished first.
    """

    def __init__(
        self, plan: Plan, *, bus: Bus, record: Record, panel: Panel, tasks: Mapping[str, Task]
    ) -> None:
        self.plan = plan
        self.pool = Pool(panel.measure)
        self.reason = "not started"
        self.spent = False
        self.faltered = False
        self.refused: dict[str, int] = {}
        self.kept: list[Finalist] = []
        self._bus = bus
        self._record = record
        self._panel = panel
        self._tasks = tasks
        self._faults: dict[str, tuple[Failure, ...]] = {}

    async def climb(self, seeds: Sequence[Prompt]) -> None:
        """Score the seeds, then take the steps; ends early when the budget or the reference LLM ends."""
        plan = self.plan
        await self._record(StageStarted(plan.stage, plan.scope, plan.tasks, plan.models, plan.steps))
        try:
            await self._score(self.pool.unseen(seeds), 0)
            for step in range(1, plan.steps + 1):
                await self._step(step)
            self.reason = f"all {plan.steps} steps taken"
        except BudgetReached as spent:
            self.reason = f"budget reached: {spent}"
            self.spent = True
        except (CallFailed, EndpointError) as lost:
            self.reason = f"reference LLM lost: {lost}"
            self.faltered = True
            await self._record(ProblemMet(plan.scope, self.reason))

    async def choose(self, always: Sequence[Prompt]) -> None:
        """Let the best on train, and the prompts in `always`, meet on validation; keep the best there.

        Where the budget ends first, the order on train decides, and `reason` says so.
        """
        plan = self.plan
        ranked = [candidate for candidate, _ in self.pool.ranked()]
        anyway = {prompt.id for prompt in always}
        few = ranked[: max(plan.finalists, plan.keep)]
        few += [candidate for candidate in ranked if candidate.prompt.id in anyway and candidate not in few]
        try:
            finalists = await self._validate(few)
        except BudgetReached as spent:
            self.reason += f"; chosen on train, for the budget ended before validation ({spent})"
            self.spent = True
            finalists = [Finalist(candidate, None, None) for candidate in few]
        self.kept = finalists[: plan.keep]
        prompts = tuple(finalist.candidate.prompt for finalist in self.kept)
        await self._record(PromptsKept(plan.stage, plan.scope, prompts, self.reason))

    async def _step(self, step: int) -> None:
        proposed = await self._bus.ask(self._proposal(step))
        fresh = self.pool.unseen(proposed.prompts)
        await self._record(
            PromptsProposed(self.plan.scope, step, tuple(fresh), self._count_refused(proposed, fresh))
        )
        await self._score(fresh, step)
        best = next(iter(self.pool.ranked()), None)
        if best is not None:
            candidate, objective = best
            await self._record(StepEnded(self.plan.scope, step, candidate.prompt.id, objective))

    def _count_refused(self, proposed: Proposed, fresh: Sequence[Prompt]) -> dict[str, int]:
        refused = dict(proposed.refused)
        known = len(proposed.prompts) - len(fresh)
        if known:
            refused["seen before"] = refused.get("seen before", 0) + known
        for reason, count in refused.items():
            self.refused[reason] = self.refused.get(reason, 0) + count
        return refused

    async def _score(self, prompts: Sequence[Prompt], step: int) -> None:
        async def one(prompt: Prompt) -> Verdict:
            return await self._panel.score(
                prompt,
                "train",
                tasks=self.plan.tasks,
                models=self.plan.answerers,
                responses=self.plan.reference.failures,
            )

        ends = await settle(prompts, one, limit=CANDIDATES_AT_ONCE, catch=(BudgetReached,))
        spent: Exception | None = None
        for prompt, end in sorted(zip(prompts, ends, strict=True), key=lambda pair: pair[0].id):
            if isinstance(end, Done):
                await self._believe(prompt, step, end.value)
            else:
                spent = end.error
        if spent is not None:
            raise spent

    async def _believe(self, prompt: Prompt, step: int, verdict: Verdict) -> None:
        objective = self._panel.measure(verdict.scores)
        scored = PromptScored(self.plan.scope, step, "train", prompt, objective, verdict.scores)
        self._faults[prompt.id] = self._failures(verdict)
        await self._record(scored, lambda: self.pool.add(Candidate(prompt, step, verdict.scores)))

    async def _validate(self, few: Sequence[Candidate]) -> list[Finalist]:
        async def one(candidate: Candidate) -> Verdict:
            return await self._panel.score(
                candidate.prompt, "validation", tasks=self.plan.tasks, models=self.plan.models
            )

        ends = await settle(few, one, limit=CANDIDATES_AT_ONCE, catch=(BudgetReached,))
        finalists: list[Finalist] = []
        for candidate, end in zip(few, ends, strict=True):
            if not isinstance(end, Done):
                raise end.error
            verdict = end.value
            objective = self._panel.measure(verdict.scores)
            finalists.append(Finalist(candidate, verdict, objective))
            await self._record(
                PromptScored(
                    self.plan.scope,
                    candidate.step,
                    "validation",
                    candidate.prompt,
                    objective,
                    verdict.scores,
                )
            )
        able = [finalist for finalist in finalists if finalist.objective is not None]
        return sorted(able, key=lambda f: (-(f.objective or 0.0), f.candidate.prompt.id))

    def _proposal(self, step: int) -> Propose:
        plan = self.plan
        ranked = self.pool.ranked()
        history = [
            Past(candidate.prompt, round(100 * value))
            for candidate, value in ranked[: plan.reference.history]
        ]
        faults = self._faults.get(ranked[0][0].prompt.id, ()) if ranked else ()
        return Propose(
            stage=plan.stage,
            step=step,
            count=plan.reference.candidates_per_step,
            key=plan.scope,
            briefs=tuple(self._brief(task, step) for task in plan.tasks),
            history=tuple(reversed(history)),
            failures=faults[: plan.reference.failures],
        )

    def _brief(self, name: str, step: int) -> Brief:
        task = self._tasks[name]
        rows = self._panel.rows(name, "train")
        draw = generator(self.plan.seed, "exemplars", self.plan.scope, step, name)
        shown = draw.sample(rows, min(self.plan.reference.exemplars, len(rows)))
        exemplars = tuple(Exemplar(_shown(task, row), row.gold) for row in shown)
        return Brief(name, task.description, task.answers.hint(rows[0].asked()), exemplars)

    def _failures(self, verdict: Verdict) -> tuple[Failure, ...]:
        found: list[Failure] = []
        for (task, _), responses in sorted(verdict.responses.items()):
            rows = {row.id: row for row in self._panel.rows(task, "train")}
            for response in responses:
                if isinstance(response, Graded) and not (response.correct and response.followed):
                    row = rows[response.example]
                    fault = "answer" if not response.correct else "format"
                    shown = _shown(self._tasks[task], row)
                    found.append(Failure(task, shown, response.text, row.gold, fault))
        return tuple(found)


def _shown(task: Task, row: Example) -> str:
    parts = (row.context, row.question, task.answers.options(row.asked()))
    return "\n".join(part for part in parts if part)
