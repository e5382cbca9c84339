"""One optimisation loop: propose from the history, score, repeat."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import msgspec

from ..runtime.bus import Bus
from ..runtime.concurrency import Done, settle
from ..runtime.errors import BudgetReached, CallFailed, EndpointError
from ..runtime.evaluation.objective import Objective
from ..runtime.prompt import Prompt
from ..runtime.search.blocks import blocks
from ..runtime.search.gate import Gate
from ..runtime.search.leakage import Leakage
from ..runtime.search.pool import Candidate, Pool
from ..runtime.tasks.task import Task
from .briefing import Briefing
from .finals import Finalist, Finals
from .messages import (
    Cost,
    NotesTaken,
    ProblemMet,
    PromptScored,
    PromptsKept,
    PromptsProposed,
    Proposed,
    StageStarted,
    StepEnded,
)
from .panel import Panel
from .plan import Plan
from .race import Finish, Race
from .record import Record

_Standing = tuple[bool, float]
"""Whether the best prompt meets every required bound, and its objective."""


class _Noted(msgspec.Struct, frozen=True):
    """The notes after a step; None, and why, where the reference LLM could not take them."""

    step: int
    notes: tuple[str, ...] | None
    problem: str = ""


class _Written(msgspec.Struct, frozen=True):
    """What the reference LLM wrote for one step, and the notes it took before."""

    step: int
    proposed: Proposed
    noted: _Noted | None


class Search:
    """Source prompt construction, or target prompt generation for one task (paper, section 3).

    Steps are barriers: a step's candidates are proposed together from one history and raced together, and
    what follows depends on their scores, never on who finished first. Where steps overlap, a step is written
    while the one before it is raced, from the history as it was before that: still the same on every replay.
    `cost` tells what the run has cost.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        bus: Bus,
        record: Record,
        panel: Panel,
        tasks: Mapping[str, Task],
        objective: Objective,
        cost: Callable[[], Cost],
    ) -> None:
        self.plan = plan
        self.pool = Pool(panel.measure, panel.feasible)
        self.reason = "not started"
        self.spent = False
        self.faltered = False
        self.refused: Counter[str] = Counter()
        self.kept: list[Finalist] = []
        self.finals: list[Finalist] = []
        self._bus = bus
        self._record = record
        self._panel = panel
        self._cost = cost
        self._briefing = Briefing(plan, panel, tasks, self.pool)
        self._gate = Gate(_leakage(plan.tasks, panel))
        self._race = Race(
            panel,
            blocks=blocks(
                {task: panel.rows(task, "train") for task in plan.tasks},
                size=plan.race.block,
                seed=plan.seed,
            ),
            models=plan.answerers,
            rules=plan.race,
            places=plan.keep,
            objective=objective,
            seed=plan.seed,
            failures=plan.reference.failures,
        )
        self._finals = Finals(plan, record=record, panel=panel)
        self._scored = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reference LLM has noted so far."""
        return self._briefing.notes

    async def climb(self, seeds: Sequence[Prompt], notes: Sequence[str] = ()) -> None:
        """Score the seeds, then take the steps; ends early when the budget or the reference LLM ends, when
        nothing got better for long enough, or when the scores are good enough."""
        plan = self.plan
        self._briefing.remember(tuple(notes))
        await self._record(StageStarted(plan.stage, plan.scope, plan.tasks, plan.models, plan.pace.steps))
        try:
            await self._score(self._gate.unseen(seeds), 0)
            self.reason = await self._steps()
            if plan.stage == "source":  # what the last step taught is for the stage that follows
                await self._note(await self._reflect())
        except BudgetReached as spent:
            self.reason = f"budget reached: {spent}"
            self.spent = True
        except (CallFailed, EndpointError) as lost:
            self.reason = f"reference LLM lost: {lost}"
            self.faltered = True
            await self._record(ProblemMet(plan.scope, self.reason))

    async def choose(self, always: Sequence[Prompt]) -> None:
        """Let the best on train, and the prompts in `always`, meet on the whole of validation; keep the best
        there.

        Those that answered every train row come first. Where the budget ends first, the order on train
        decides, and `reason` says so.
        """
        plan = self.plan
        ranked = [candidate for candidate, _ in self.pool.finishers()]
        ranked += [candidate for candidate, _ in self.pool.ranked() if not candidate.complete]
        most = max(plan.finalists, plan.keep)
        finishers = len(self.pool.finishers())
        few = ranked[: max(plan.keep, min(most, finishers))]
        anyway = {prompt.id for prompt in always}
        few += [candidate for candidate in ranked if candidate.prompt.id in anyway and candidate not in few]
        try:
            self.finals = await self._finals.hold(few)
        except BudgetReached as spent:
            self.reason += f"; chosen on train, for the budget ended before validation ({spent})"
            self.spent = True
            self.finals = [Finalist(candidate, None, candidate.scores, None) for candidate in few]
        self.kept = self.finals[: plan.keep]
        prompts = tuple(finalist.candidate.prompt for finalist in self.kept)
        await self._record(PromptsKept(plan.stage, plan.scope, prompts, self.reason))

    async def _steps(self) -> str:
        """Take the steps; returns why no more are taken."""
        plan = self.plan
        best, stalled = self._best(), 0
        fresh = await self._take(await self._write(1)) if plan.pace.steps else []
        for step in range(1, plan.pace.steps + 1):
            fresh = await self._step(step, fresh)
            now = self._best()
            best, stalled = now, 0 if _above(now, best) else stalled + 1
            if plan.pace.until is not None and best is not None and best >= (True, plan.pace.until):
                return f"objective {best[1]:.3f} on train reaches {plan.pace.until:g} after step {step}"
            if plan.pace.patience is not None and stalled >= plan.pace.patience and step < plan.pace.steps:
                return f"no progress in {stalled} steps, the last was step {step}"
        return "all steps taken"

    async def _step(self, step: int, fresh: Sequence[Prompt]) -> list[Prompt]:
        """Race a step's candidates; returns those of the next step, if there is one."""
        if step == self.plan.pace.steps:
            await self._score(fresh, step)
            return []
        if not self.plan.pace.overlap:
            await self._score(fresh, step)
            return await self._take(await self._write(step + 1))
        return await self._take(await self._while(partial(self._score, fresh, step), step + 1))

    async def _while(self, score: Callable[[], Awaitable[None]], step: int) -> _Written:
        """Write a step while the one before is scored; an error of either is raised when both have ended."""
        jobs: tuple[Callable[[], Awaitable[_Written | None]], ...] = (score, partial(self._write, step))
        catch = (BudgetReached, CallFailed, EndpointError)
        scored, written = await settle(jobs, lambda job: job(), limit=2, catch=catch)
        for end in (scored, written):
            if not isinstance(end, Done):
                raise end.error
        assert isinstance(written, Done)
        assert written.value is not None
        return written.value

    async def _write(self, step: int) -> _Written:
        """Have the reference LLM take notes, then write a step, both from what is known at this moment."""
        proposal, noted = self._briefing.propose(step), await self._reflect()
        if noted is not None and noted.notes is not None:
            proposal = msgspec.structs.replace(proposal, notes=noted.notes)
        return _Written(step, await self._bus.ask(proposal), noted)

    async def _reflect(self) -> _Noted | None:
        """Notes on the last step that was scored; None where there is nothing to note."""
        step = self._scored
        reflect = self._briefing.reflect(step) if step else None
        if reflect is None:
            return None
        try:
            return _Noted(step, (await self._bus.ask(reflect)).notes)
        except CallFailed as failed:
            return _Noted(step, None, f"no notes after step {step}: {failed}")

    async def _take(self, written: _Written) -> list[Prompt]:
        """Record what was written; returns the candidates that may be scored."""
        await self._note(written.noted)
        fresh, refused = self._gate.admit(written.proposed.prompts)
        refused.update(written.proposed.refused)
        self.refused.update(refused)
        told = dict(sorted(refused.items()))
        await self._record(PromptsProposed(self.plan.scope, written.step, tuple(fresh), told))
        return fresh

    async def _note(self, noted: _Noted | None) -> None:
        if noted is None:
            return
        if noted.notes is None:
            await self._record(ProblemMet(self.plan.scope, noted.problem))
            return
        taken = NotesTaken(self.plan.scope, noted.step, noted.notes)
        await self._record(taken, partial(self._briefing.remember, noted.notes))

    async def _score(self, prompts: Sequence[Prompt], step: int) -> None:
        incumbents = [candidate for candidate, _ in self.pool.finishers()[: self.plan.keep]]
        raced = await self._race.run(prompts, incumbents)
        among = {finish.prompt.id: self._candidate(finish, step) for finish in raced.finishes}
        for finish in raced.finishes:
            candidate = among[finish.prompt.id]
            self._briefing.take(finish.prompt, finish.verdict)
            scored = PromptScored(
                self.plan.scope,
                step,
                "train",
                finish.prompt,
                self.pool.value(candidate, among),
                candidate.scores,
                stopped=finish.behind is not None,
            )
            await self._record(scored, partial(self.pool.add, candidate))
        if raced.spent is not None:
            raise raced.spent
        best = next(iter(self.pool.finishers()), None)
        if best is not None:
            candidate, objective = best
            ended = StepEnded(self.plan.scope, step, candidate.prompt.id, objective, self._cost())
            await self._record(ended)
        self._scored = step

    def _candidate(self, finish: Finish, step: int) -> Candidate:
        return Candidate(
            prompt=finish.prompt,
            step=step,
            scores=self._panel.cards(finish.verdict),
            outcomes=finish.verdict.outcomes,
            complete=finish.complete,
            behind=finish.behind,
        )

    def _best(self) -> _Standing | None:
        best = next(iter(self.pool.finishers()), None)
        return None if best is None else (self._panel.feasible(best[0].scores), best[1])


def _leakage(tasks: Sequence[str], panel: Panel) -> Leakage:
    shown = [row for task in tasks for row in panel.rows(task, "train")]
    chosen_by = [row for task in tasks for row in panel.rows(task, "validation")]
    reported_on = [row for task in tasks for row in panel.rows(task, "test")]
    return Leakage(chosen_by + reported_on, shown)


def _above(value: _Standing | None, other: _Standing | None) -> bool:
    return value is not None and (other is None or value > other)
