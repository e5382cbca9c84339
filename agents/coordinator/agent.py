"""The Coordinator agent: leads a run through its stages and keeps its history."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from ...runtime.bus import Bus
from ...runtime.concurrency import settle
from ...runtime.errors import BudgetReached
from ...runtime.evaluation.objective import Objective
from ...runtime.evaluation.statistics import corrected
from ...runtime.llm.budget.accounts import Held
from ...runtime.llm.budget.budget import Budget
from ...runtime.messages import Cost, ProblemMet, RunEnded, RunStarted
from ...runtime.prompt import Prompt
from ...runtime.record.history import Record
from ...runtime.record.responses import Responses
from ...runtime.record.results import (
    OnFront,
    PromptEntry,
    Results,
    SearchSummary,
    SourcePrompt,
    Status,
    TargetResult,
    Transfer,
)
from ...runtime.search.candidates import Merits, front
from ...runtime.tasks.task import Task
from ...scenarios import Scenario
from ..reference.strategies import Strategy
from .evaluator import Panel
from .final_test import Examination, Sitting
from .plan import Calls, Plan, original, originals, source_plan, target_plans, tested_beside
from .search import Search


class Coordinator:
    """Source prompt construction, then target prompt generation, then one test of what was chosen.

    It alone decides what comes next and it asks others for all else; it makes no model call. A budget that
    ends during a stage ends the searching; what was held back for validation and test is then still there.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        bus: Bus,
        record: Record,
        panel: Panel,
        responses: Responses,
        tasks: Mapping[str, Task],
        objective: Objective,
        budget: Budget,
        calls: Calls,
        strategy: Strategy,
    ) -> None:
        self._scenario = scenario
        self._bus = bus
        self._record = record
        self._panel = panel
        self._tasks = tasks
        self._budget = budget
        self._calls = calls
        self._strategy = strategy
        self._objective = objective
        self._examination = Examination(
            record, panel, responses=responses, tasks=tasks, objective=objective, seed=scenario.seed
        )
        self._searches: list[Search] = []
        self._targets: list[TargetResult] = []
        self._transfer: list[Transfer] = []
        self._problems: list[str] = []
        self._spent = False

    async def run(self) -> Results:
        """Both stages and the test. A run that loses a target, or its budget, returns what it has."""
        scenario = self._scenario
        rows = {name: self._panel.sizes(name) for name in sorted(self._tasks)}
        await self._record(RunStarted(scenario.name, scenario.seed, rows, tuple(scenario.targets)))
        plans = target_plans(scenario, self._strategy)
        source = source_plan(scenario, self._strategy)
        constructed = None if source is None else await self._source_stage(source, plans)
        sittings = await self._target_stage(plans, constructed)
        self._budget.release()
        for sitting in sittings:
            await self._examine(sitting)
        return self.results(self._status())

    async def end(self, status: Status) -> None:
        """Put on record how the run ended, last of all."""
        await self._record(RunEnded(status))

    def results(self, status: Status) -> Results:
        """What is known by now, as results with this status."""
        searches = sorted(self._searches, key=lambda search: search.plan.scope)
        lost = [f"target {model} is lost: {reason}" for model, reason in sorted(self._panel.lost.items())]
        unrated = [self._panel.unrated] if self._panel.unrated else []
        return Results(
            name=self._scenario.name,
            status=status,
            seed=self._scenario.seed,
            source_prompts=tuple(
                entry for search in searches if search.plan.stage == "source" for entry in _kept(search)
            ),
            targets=self._compared(),
            transfer=tuple(sorted(self._transfer, key=lambda t: (t.task, t.model, t.prompt_id))),
            searches=tuple(_summary(search) for search in searches),
            problems=(*lost, *unrated, *self._problems),
            strategy=self._strategy.name,
        )

    def _compared(self) -> tuple[TargetResult, ...]:
        """The targets in order, their p-values corrected for being so many."""
        targets = sorted(self._targets, key=lambda target: (target.task, target.model))
        gains = corrected([target.gain for target in targets])
        return tuple(
            msgspec.structs.replace(target, gain=gain) for target, gain in zip(targets, gains, strict=True)
        )

    async def _source_stage(self, plan: Plan, plans: Sequence[Plan]) -> Search:
        seeds = self._originals(plan)
        later = self._later(plan, plans, len(seeds))
        self._budget.hold(replace(later, calls=later.beside))
        search = self._search(plan)
        await search.climb(seeds)
        self._budget.hold(replace(later, calls=self._held(plans)))
        await search.choose(always=seeds[:1])
        await self._say_if_unmeasured(search)
        return search

    async def _target_stage(self, plans: Sequence[Plan], source: Search | None) -> list[Sitting]:
        self._budget.hold(Held(self._held(plans)))
        searches = {plan.scope: self._search(plan) for plan in plans}
        sources = () if source is None else _prompts(source)
        notes = () if source is None else source.notes

        async def climb(plan: Plan) -> None:
            await searches[plan.scope].climb((*self._originals(plan), *sources), notes)

        await settle(plans, climb, limit=len(plans), catch=())
        self._budget.hold(Held(self._tests(plans)))
        await settle(plans, lambda plan: self._choose(searches[plan.scope]), limit=len(plans), catch=())
        chosen = [search for search in searches.values() if search.kept]
        for search in searches.values():
            await self._say_if_unmeasured(search)
        return [self._sitting(search, sources, chosen) for search in chosen]

    async def _say_if_unmeasured(self, search: Search) -> None:
        """A search that ends without a prompt, though it had calls and models, has failed."""
        lost = all(model in self._panel.lost for model in search.plan.models)
        if search.kept or search.spent or lost:
            return
        search.faltered = True
        await self._problem(
            search.plan.scope,
            f"{search.plan.scope}: no prompt could be measured on validation: of each, more calls failed "
            "than scorer.max_failed allows, or too few ratings could be used",
        )

    async def _choose(self, search: Search) -> None:
        await search.choose(always=[self._original_of(search)])

    async def _examine(self, sitting: Sitting) -> None:
        try:
            results, transfer = await self._examination.sit(sitting)
        except BudgetReached as spent:
            self._spent = True
            models = "+".join(sitting.models)
            await self._problem(sitting.task, f"not tested on {sitting.task} with {models}: {spent}")
        else:
            self._targets += results
            self._transfer += transfer

    def _search(self, plan: Plan) -> Search:
        search = Search(
            plan,
            bus=self._bus,
            record=self._record,
            panel=self._panel,
            tasks=self._tasks,
            objective=self._objective,
            cost=self._cost,
        )
        self._searches.append(search)
        return search

    def _sitting(self, search: Search, sources: Sequence[Prompt], chosen: Sequence[Search]) -> Sitting:
        task, best, stage = search.plan.tasks[0], search.kept[0], self._scenario.stages.target
        original = self._original(task)
        others = list(sources[: stage.transfer])
        if stage.matrix:
            others += [_prompts(other)[0] for other in chosen]
            others += [self._original_of(other) for other in chosen]
        own = {best.candidate.prompt.id, original.id}
        shown = {prompt.id: prompt for prompt in others if prompt.id not in own}
        validated = next((one for one in search.finals if one.candidate.prompt.id == original.id), None)
        return Sitting(task, search.plan.models, original, best, validated, tuple(shown.values()))

    def _original_of(self, search: Search) -> Prompt:
        return self._original(search.plan.tasks[0])

    def _cost(self) -> Cost:
        spent = {cap: remaining.spent for cap, remaining in self._budget.remaining().items()}
        return Cost(calls=int(spent["calls"]), tokens=int(spent["tokens"]), usd=spent["usd"])

    def _originals(self, plan: Plan) -> tuple[Prompt, ...]:
        return originals(self._scenario, (self._tasks[name] for name in plan.tasks))

    def _original(self, task: str) -> Prompt:
        return original(self._scenario, self._tasks[task].original)

    def _held(self, plans: Sequence[Plan]) -> int:
        """Calls that choosing and testing take, kept back from the searching."""
        return sum(self._calls.choice(plan).total() for plan in plans) + self._tests(plans)

    def _tests(self, plans: Sequence[Plan]) -> int:
        others = tested_beside(self._scenario, self._strategy, len(plans))
        return sum(self._calls.test(plan, others).total() for plan in plans)

    def _later(self, plan: Plan, plans: Sequence[Plan], seeds: int) -> Held:
        """The target stage's part of what is left to search with, in proportion to what is planned; beside it
        stand the calls that choosing and testing take."""
        source = self._calls.search(plan, seeds).total()
        keep = self._scenario.stages.source.keep
        target = sum(self._calls.search(one, seeds + keep).total() for one in plans)
        beside = self._calls.choice(plan).total() + self._held(plans)
        return Held(beside=beside, share=target / max(1, source + target), most=target)

    async def _problem(self, scope: str, problem: str) -> None:
        self._problems.append(problem)
        await self._record(ProblemMet(scope, problem))

    def _status(self) -> Status:
        if self._panel.impaired or any(search.faltered for search in self._searches):
            return "failed"
        if self._spent or self._examination.spent or any(search.spent for search in self._searches):
            return "budget"
        return "complete" if self._targets else "failed"


def _prompts(search: Search) -> tuple[Prompt, ...]:
    return tuple(finalist.candidate.prompt for finalist in search.kept)


def _kept(search: Search) -> list[SourcePrompt]:
    return [
        SourcePrompt.scored(
            finalist.candidate.prompt,
            split="train" if finalist.verdict is None else "validation",
            objective=finalist.objective,
            scores=finalist.scores,
        )
        for finalist in search.kept
    ]


def _summary(search: Search) -> SearchSummary:
    plan = search.plan
    return SearchSummary(
        scope=plan.scope,
        stage=plan.stage,
        tasks=plan.tasks,
        models=plan.models,
        visited=len(search.pool),
        stopped=search.pool.stopped,
        reason=search.reason,
        refused=dict(sorted(search.refused.items())),
        front=_front(search),
        notes=search.notes,
    )


def _front(search: Search) -> tuple[OnFront, ...]:
    finals = {one.candidate.prompt.id: one for one in search.finals if one.verdict is not None}
    merits = {id: Merits.of(one.candidate.prompt, one.scores) for id, one in finals.items()}
    return tuple(
        OnFront(
            prompt=PromptEntry.of(finals[id].candidate.prompt),
            merits=merits[id],
            objective=finals[id].objective,
        )
        for id in front(merits)
    )
