"""The Coordinator agent: leads a run through its stages and keeps its history."""

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from ...runtime.bus import Bus
from ...runtime.concurrency import off_loop, run_all
from ...runtime.errors import BudgetReached
from ...runtime.evaluation.objective import Objective
from ...runtime.evaluation.statistics import corrected
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
    Targets,
    Transfer,
)
from ...runtime.tasks.task import Task
from ...scenarios import Scenario
from ...scenarios.stages import EVALUATIONS
from ..reference.strategies import Strategy
from .allotment import Allotment, Amount
from .evaluator import Evaluator
from .final_test import QUICK_ROWS, FinalTest, FinalTestPlan
from .offers import Exchange, likeness, offers_made
from .plan import CallCounts, Plan, original, originals, source_plan, target_plans, tested_beside
from .scheduler import Scheduler
from .search import Search


class Coordinator:
    """Source prompt construction, then target prompt generation, then one test of what was chosen.

    It alone decides what comes next and it asks others for all else; it makes no model call. The budget, less
    the exact cost of the final test, is spent on the search.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        bus: Bus,
        record: Record,
        evaluator: Evaluator,
        responses: Responses,
        tasks: Mapping[str, Task],
        objective: Objective,
        budget: Budget,
        counts: CallCounts,
        strategy: Strategy,
        row_characters: Mapping[str, float],
        notices: Sequence[str] = (),
    ) -> None:
        self._scenario = scenario
        self._record = record
        self._evaluator = evaluator
        self._tasks = tasks
        self._budget = budget
        self._counts = counts
        self._strategy = strategy
        self._scheduler = Scheduler(
            scenario,
            bus=bus,
            record=record,
            evaluator=evaluator,
            counts=counts,
            row_characters=row_characters,
        )
        self._final_test = FinalTest(
            record, evaluator, responses=responses, tasks=tasks, objective=objective, seed=scenario.seed
        )
        self._searches: list[Search] = []
        self._targets: list[TargetResult] = []
        self._transfer: list[Transfer] = []
        self._problems: list[str] = []
        self._exhausted = False
        self._notices = notices

    async def run(self) -> Results:
        """Both stages and the test. A run that loses a target, or its budget, returns what it has."""
        scenario = self._scenario
        rows = {name: self._evaluator.sizes(name) for name in sorted(self._tasks)}
        await self._record(RunStarted(scenario.name, scenario.seed, rows, tuple(scenario.targets)))
        plans = target_plans(scenario, self._strategy)
        reserve = self._test_calls(plans)
        allotment = self._allotment(plans, reserve)
        self._budget.reserve(reserve)
        source = await self._source_stage(source_plan(scenario, self._strategy), allotment)
        searches = await self._target_stage(plans, source, allotment)
        self._budget.release()
        tests = [self._test_plan(search, source, searches) for search in searches if search.kept]
        # One after the other, so that a budget that ends leaves whole tests; but batches go together.
        batches = any(scenario.endpoint_of(model).batch for test in tests for model in test.models)
        await run_all(tests, self._test, limit=max(1, len(tests)) if batches else 1)
        return self.results(self._status())

    async def end(self, status: Status) -> None:
        """Record how the run ended, last of all."""
        await self._record(RunEnded(status))

    def results(self, status: Status) -> Results:
        """Results known by now, with this status."""
        searches = sorted(self._searches, key=lambda search: search.plan.scope)
        targets = [search for search in searches if search.plan.stage == "target"]
        lost = [f"target {model} is lost: {reason}" for model, reason in sorted(self._evaluator.lost.items())]
        quota = [self._evaluator.quota] if self._evaluator.quota else []
        writer = dict.fromkeys(
            search.reason for search in searches if search.failed and "LLM lost" in (search.reason or "")
        )
        unrated = [self._evaluator.unrated] if self._evaluator.unrated else []
        return Results(
            name=self._scenario.name,
            status=status,
            seed=self._scenario.seed,
            source_prompts=tuple(
                SourcePrompt.scored(choice.prompt, objective=choice.objective, scores=choice.scores)
                for search in searches
                if search.plan.stage == "source"
                for choice in search.kept
            ),
            targets=self._compared(),
            transfer=tuple(sorted(self._transfer, key=lambda t: (t.task, t.model, t.prompt_id))),
            searches=tuple(_summary(search) for search in searches),
            offers=offers_made(targets),
            likeness=likeness(targets),
            problems=(
                *quota,
                *lost,
                *writer,
                *unrated,
                *self._problems,
                *self._evaluator.failures,
                *self._notices,
            ),
            strategy=self._strategy.name,
            objective=dict(self._scenario.scorer.objective),
        )

    def _compared(self) -> Targets:
        """The targets in order, their p-values corrected for being so many."""
        targets = sorted(self._targets, key=lambda target: (target.task, target.model))
        gains = corrected([target.gain for target in targets])
        return Targets(
            msgspec.structs.replace(
                target,
                gain=gain,
                reading=self._counts.reading(target.task, target.model).describe(),
                sent=self._counts.sent(target.task, target.model, target.best.prompt.prompt()),
            )
            for target, gain in zip(targets, gains, strict=True)
        )

    def _allotment(self, plans: Sequence[Plan], reserve: int) -> Allotment:
        budget = self._scenario.budget
        before = self._budget.remaining()
        return Allotment.of(
            budget,
            self._scenario.search_rows(sum(len(plan.models) for plan in plans)),
            spent=Amount(calls=before["calls"].spent, tokens=before["tokens"].spent, usd=before["usd"].spent),
            reserve=reserve,
        )

    async def _source_stage(self, plan: Plan | None, allotment: Allotment) -> Search | None:
        if plan is None:
            return None
        search = await self._search(plan)
        targets = sum(len(plan.models) for plan in target_plans(self._scenario, self._strategy))
        part = allotment.part(
            self._scenario.stages.source.share,
            usual=targets * EVALUATIONS["heavy"],
            before=self._record.allotted.get(plan.scope),
        )
        await self._run([search], part)
        allotment.absorb(part)
        return search

    async def _target_stage(
        self, plans: Sequence[Plan], source: Search | None, allotment: Allotment
    ) -> list[Search]:
        notes = () if source is None else source.notes
        searches = [await self._search(plan, notes) for plan in plans]
        if source is not None:
            for search in searches:
                for choice in source.kept:
                    search.offer(choice.prompt, ["source"])
        shares = self._scenario.stages.target.offers and len(searches) > 1
        await self._run(searches, allotment, Exchange(searches) if shares else None)
        return searches

    async def _run(
        self, searches: Sequence[Search], allotment: Allotment, exchange: Exchange | None = None
    ) -> None:
        left = allotment.calls_left
        for search in searches:
            each = None if left is None else left // len(searches)
            await self._record(search.started(each, allotment.unit))
        await self._scheduler.run(searches, allotment, exchange)
        for search in searches:
            await self._report_unmeasured(search)
            await self._record(search.ended(self._cost()))

    async def _report_unmeasured(self, search: Search) -> None:
        """A search that ends without a prompt, though it had calls and models, has failed; so has one of
        which too many calls failed: its choice is among the prompts that happened to meet few such rows."""
        share, lost = (
            search.selection.failed_share,
            all(model in self._evaluator.lost for model in search.plan.models),
        )
        if search.kept and share > self._evaluator.max_failed:
            search.failed = True
            await self._problem(
                search.plan.scope,
                f"{search.plan.scope}: {share:.1%} of the calls failed, more than scorer.max_failed "
                f"({self._evaluator.max_failed:.1%}) allows; the prompt was chosen by the others. The same "
                "command makes the failed calls again, as far as the budget allows",
            )
        if search.kept or lost or (search.exhausted and not search.selection.evaluations):
            return
        search.failed = True
        await self._problem(
            search.plan.scope,
            f"{search.plan.scope}: no prompt could be measured: of each, more calls failed than "
            f"scorer.max_failed ({self._evaluator.max_failed:.1%}) allows, too few ratings could be used, or "
            "a metric of the objective was undefined on all rows. "
            "The same command makes the failed calls again, as far as the budget allows",
        )

    async def _test(self, plan: FinalTestPlan) -> None:
        try:
            results, transfer = await self._final_test.run(plan)
        except BudgetReached as exhausted:
            self._exhausted = True
            models = "+".join(plan.models)
            await self._problem(plan.task, f"not tested on {plan.task} with {models}: {exhausted}")
        else:
            self._targets += results
            self._transfer += transfer

    async def _search(self, plan: Plan, notes: Sequence[str] = ()) -> Search:
        make = partial(
            Search,
            plan,
            evaluator=self._evaluator,
            tasks=self._tasks,
            seeds=originals(self._scenario, [self._tasks[name] for name in plan.tasks]),
            notes=notes,
        )
        rows = sum(sum(self._evaluator.sizes(name)) for name in plan.tasks)
        search = await off_loop(make, rows=rows, quick=QUICK_ROWS)
        self._searches.append(search)
        return search

    def _test_plan(self, search: Search, source: Search | None, searches: Sequence[Search]) -> FinalTestPlan:
        task, best, stage = search.plan.tasks[0], search.kept[0], self._scenario.stages.target
        first = self._original_of(search)
        others = [] if source is None else [choice.prompt for choice in source.kept[: stage.transfer]]
        if stage.matrix:
            kept = [other for other in searches if other.kept]
            others += [other.kept[0].prompt for other in kept]
            others += [self._original_of(other) for other in kept]
        own = {best.prompt.id, first.id}
        shown = {prompt.id: prompt for prompt in others if prompt.id not in own}
        searched = next(
            (choice for choice in search.selection.choices() if choice.prompt.id == first.id), None
        )
        return FinalTestPlan(task, search.plan.models, first, best, searched, tuple(shown.values()))

    def _original_of(self, search: Search) -> Prompt:
        return original(self._scenario, self._tasks[search.plan.tasks[0]].original)

    def _cost(self) -> Cost:
        spent = {cap: remaining.spent for cap, remaining in self._budget.remaining().items()}
        return Cost(calls=int(spent["calls"]), tokens=int(spent["tokens"]), usd=spent["usd"])

    def _test_calls(self, plans: Sequence[Plan]) -> int:
        others = tested_beside(self._scenario, self._strategy, len(plans))
        return sum(self._counts.test(plan, others).total() for plan in plans)

    async def _problem(self, scope: str, problem: str) -> None:
        self._problems.append(problem)
        await self._record(ProblemMet(scope, problem))

    def _status(self) -> Status:
        if self._evaluator.impaired or any(search.failed for search in self._searches):
            return "failed"
        cut = any(search.cut_short for search in self._searches)
        if cut or self._exhausted or self._final_test.exhausted:
            return "budget"
        return "complete" if self._targets else "failed"


def _summary(search: Search) -> SearchSummary:
    plan = search.plan
    return SearchSummary(
        scope=plan.scope,
        stage=plan.stage,
        tasks=plan.tasks,
        models=plan.models,
        candidates=len(search.selection.choices()),
        finished=len(search.selection.finished),
        rows=search.rows,
        calls=round(search.cost.calls),
        allotted=search.allotted,
        unit=search.unit,
        reason=search.reason or "not started",
        refused=dict(sorted(search.refused.items())),
        front=tuple(
            OnFront(prompt=PromptEntry.of(choice.prompt), merits=merits, objective=choice.objective)
            for choice, merits in search.selection.front()
        ),
        notes=search.notes,
    )
