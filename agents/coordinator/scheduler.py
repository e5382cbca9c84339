"""The scheduler: keeps work of all searches in flight and takes their results in, one at a time.

Work is issued from results that were taken in, never from what is in flight, and the order in which results
are taken in is written to the history first. So a resumed run takes the recorded path, its calls replayed
from the ledger, and goes on from there; with `deterministic` results are taken in the order of issue, and
equal seeds give equal results at any latency. (Asynchronous successive halving, Li et al. 2020, decides
on arrival likewise; here the order is kept.)
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import cast

import anyio
import msgspec
from anyio.abc import TaskGroup

from ...runtime.bus import Bus, Request
from ...runtime.concurrency import unwrapped
from ...runtime.errors import BudgetReached, CallFailed, EndpointError, OutOfQuota, QuotaExhausted
from ...runtime.messages import (
    CandidatesProposed,
    NotesTaken,
    ProblemMet,
    PromptScored,
    Propose,
    Proposed,
    Reflect,
    Reflected,
    WorkRefused,
)
from ...runtime.record.history import Record
from ...scenarios import Scenario
from .allotment import Allotment, Amount, priced
from .evaluator import Evaluation, Evaluator
from .offers import Exchange
from .plan import CallCounts
from .search import Block, Search, Work

SURPLUS = 1.5
"""Rows in flight over those that the endpoints' concurrency takes, so that no slot waits for a decision."""

DECISIONS = 24
"""Least number of steps in which a small budget is spent, regardless of the endpoints' concurrency."""

CHARACTERS_PER_TOKEN = 3.5
FIRST_ANSWER_TOKENS = 16
"""Guesses for caps on tokens and dollars, until the first results are in."""


class Dropped(msgspec.Struct, frozen=True):
    """The outcome of work that the search did not wait for."""


Result = Evaluation | Proposed | Reflected | Dropped | Exception


class Job(msgspec.Struct, frozen=True):
    """A piece of work in flight: its number in the run, the search it is for, and its planned cost."""

    number: int
    search: Search
    work: Work
    planned: Amount


class Scheduler:
    """Runs searches concurrently until each has stopped; they share an allotment evenly.

    A budget that ends during a job ends all searches, after what is in flight; `cut` says that it did.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        bus: Bus,
        record: Record,
        evaluator: Evaluator,
        counts: CallCounts,
        row_characters: Mapping[str, float],
    ) -> None:
        self._scenario = scenario
        self._bus = bus
        self._record = record
        self._evaluator = evaluator
        self._counts = counts
        self._row_characters = row_characters
        self._order = deque(recorded.job for recorded in record.order)
        caps = scenario.budget.caps
        self._refused = {one.job: one.refusal for one in record.order if one.refusal and one.caps == caps}
        self._dropped = frozenset(recorded.job for recorded in record.order if recorded.dropped)
        self.cut = False
        self._numbers = 0
        self._in_flight: dict[int, Job] = {}
        self._results: dict[int, Result] = {}
        self._news = anyio.Event()
        self._row_cost: dict[str, Amount] = {}

    async def run(
        self, searches: Sequence[Search], allotment: Allotment, exchange: Exchange | None = None
    ) -> None:
        """Run the searches to their end. Raises what a host's own function raised."""
        window = self._window(searches, allotment)
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    self._issue(tasks, searches, allotment, window)
                    if not self._in_flight:
                        break
                    if self._writes_in_vain(searches):
                        await self._drop()
                        tasks.cancel_scope.cancel()
                        break
                    job, result = await self._next()
                    await self._take(job, result, searches, allotment, exchange)
        except ExceptionGroup as group:
            # Concurrent jobs may fail for one reason at the same moment: the first error represents them.
            raise unwrapped(group.exceptions[0]) from group
        finally:
            self._in_flight.clear()
            self._results.clear()

    def _writes_in_vain(self, searches: Sequence[Search]) -> bool:
        """True when the reference LLM alone is still at work, for searches that have ended."""
        return (
            not self._scenario.deterministic
            and not (self._order and self._order[0] in self._in_flight)
            and all(search.reason for search in searches)
            and not any(isinstance(job.work, Block) for job in self._in_flight.values())
        )

    def _window(self, searches: Sequence[Search], allotment: Allotment) -> int:
        """Rows in flight: enough to fill the endpoints' slots, few enough that decisions see what came in."""
        models = {model for search in searches for model in search.plan.answerers}
        places = {
            self._place(model): self._scenario.endpoint_of(model).limits.concurrency for model in models
        }
        slots = math.ceil(SURPLUS * sum(places.values()))
        least = sum(2 * search.plan.block for search in searches)
        # A resumed run whose caps were raised keeps its window, and so its path.
        before = [self._record.allotted.get(search.plan.scope) or 0 for search in searches]
        if all(before):
            rows = float(sum(before))
        else:
            rows = sum(allotment.times(self._row(search)) for search in searches) / len(searches)
        return slots if math.isinf(rows) else min(slots, max(least, int(rows / DECISIONS)))

    def _place(self, model: str) -> tuple[str, str]:
        spec = self._scenario.models[model]
        return spec.endpoint, spec.model

    # -- issuing

    def _issue(self, tasks: TaskGroup, searches: Sequence[Search], allotment: Allotment, window: int) -> None:
        """Fill the window, the search that has spent least of what is capped first."""
        unit = allotment.unit
        idle: set[str] = set()
        while True:
            ready = [search for search in searches if not search.reason and search.plan.scope not in idle]
            if not ready or self._evaluations_in_flight() >= window:
                return
            search = min(ready, key=lambda one: (getattr(one.cost, unit), one.plan.scope))
            row = self._row(search)
            running = sum(1 for one in searches if not one.reason)
            left = allotment.times(row) / running
            work = search.next(left, allotment.progress(), row, window // len(searches))
            if work is None:
                idle.add(search.plan.scope)
                continue
            self._start(tasks, search, work, row, allotment)

    def _start(self, tasks: TaskGroup, search: Search, work: Work, row: Amount, allotment: Allotment) -> None:
        planned = row * len(work.places) if isinstance(work, Block) else Amount(calls=1)
        self._numbers += 1
        job = Job(self._numbers, search, work, planned)
        allotment.issue(planned)
        search.cost += planned
        self._in_flight[job.number] = job
        if job.number in self._dropped and not isinstance(work, Block):
            self._results[job.number] = Dropped()
        elif job.number in self._refused:
            self._results[job.number] = BudgetReached(self._refused[job.number])
        else:
            tasks.start_soon(self._do, job)

    def _evaluations_in_flight(self) -> float:
        return sum(job.planned.evaluations for job in self._in_flight.values())

    def _row(self, search: Search) -> Amount:
        """The planned cost of one row of a search, of every task with every model."""
        known = self._row_cost.get(search.plan.scope)
        if known is not None:
            return known
        calls = self._counts.rows(search.plan, 1)
        tokens = usd = 0.0
        for (task, model), count in calls.answers.items():
            asked = self._row_characters[task] / CHARACTERS_PER_TOKEN
            tokens += count * (asked + FIRST_ANSWER_TOKENS)
            usd += count * self._scenario.models[model].price.usd(asked, FIRST_ANSWER_TOKENS)
        amount = Amount(calls.total(), len(calls.answers), tokens, usd)
        self._row_cost[search.plan.scope] = amount
        return amount

    # -- working

    async def _do(self, job: Job) -> None:
        try:
            result = await self._result(job)
        except QuotaExhausted as error:
            await self._evaluator.report_quota(error)
            result = OutOfQuota(str(error))
        except (BudgetReached, CallFailed, EndpointError) as error:
            result = error
        self._results[job.number] = result
        self._news.set()

    async def _result(self, job: Job) -> Result:
        work, plan = job.work, job.search.plan
        if isinstance(work, Block):
            most = max(map(len, work.rows.values()))
            return await self._evaluator.score(work.prompt, work.rows, models=plan.answerers, responses=most)
        asked = cast("Request[Proposed | Reflected]", work)
        return await self._bus.ask(asked)

    async def _next(self) -> tuple[Job, Result]:
        """The next result to take in: the recorded one first, then in order of issue or of arrival."""
        while True:
            number = self._due()
            if number in self._results:
                if self._order:
                    self._order.popleft()
                return self._in_flight.pop(number), self._results.pop(number)
            self._news = anyio.Event()
            await self._news.wait()

    def _due(self) -> int:
        if self._order:
            if self._order[0] in self._in_flight:
                return self._order[0]
            self._order.clear()  # the scenario has changed: the recorded path leads elsewhere
            self._dropped = frozenset()
            self._refused = {}
        if self._scenario.deterministic or not self._results:
            return min(self._in_flight)
        return next(iter(self._results))

    # -- taking in

    async def _take(
        self,
        job: Job,
        result: Result,
        searches: Sequence[Search],
        allotment: Allotment,
        exchange: Exchange | None,
    ) -> None:
        search = job.search
        if isinstance(result, BudgetReached):
            self.cut = True
            self._settle(job, Amount(), allotment)
            if not isinstance(result, OutOfQuota):
                caps = self._scenario.budget.caps
                await self._record(WorkRefused(search.plan.scope, job.number, str(result), caps))
            for one in searches:
                one.stop(f"budget reached: {result}", exhausted=True)
            return
        match job.work, result:
            case Block() as block, Evaluation() as evaluation:
                self._settle(job, self._answer_cost(evaluation), allotment)
                await self._take_block(job, block, evaluation)
                if exchange is not None:
                    exchange.result_taken()
            case Propose() as request, Proposed() as proposed:
                cost = self._written_cost(proposed)
                self._settle(job, cost, allotment)
                search.learn_price(cost)
                fresh, refused = search.take_proposed(request, proposed)
                await self._record(CandidatesProposed(search.plan.scope, job.number, tuple(fresh), refused))
            case Reflect(), Reflected() as reflected:
                self._settle(job, self._written_cost(reflected), allotment)
                search.take_notes(reflected.notes)
                await self._record(NotesTaken(search.plan.scope, job.number, reflected.notes))
            case Propose() | Reflect(), Dropped():
                await self._take_dropped(job)
            case _, Exception() as error:
                await self._take_failure(job, error, allotment)
            case _:
                raise TypeError(f"{type(result).__name__} does not answer {type(job.work).__name__}")

    async def _take_block(self, job: Job, block: Block, evaluation: Evaluation) -> None:
        search = job.search
        lost = self._evaluator.lost
        if all(model in lost for model in search.plan.answerers):
            search.stop("no target is left", failed=True)
        rows = search.take_block(block, evaluation)
        objective: float | None = search.quick_estimate(block.number)
        scores = {}
        if search.passes_rung(rows, len(block.places)):
            objective, scores = search.selection.estimate(block.number)
        await self._record(
            PromptScored(
                search.plan.scope,
                job.number,
                block.prompt,
                rows,
                objective,
                scores,
                leader=search.leader,
                calls=round(search.cost.calls),
                evaluations=round(search.cost.evaluations),
            )
        )

    async def _take_failure(self, job: Job, error: Exception, allotment: Allotment) -> None:
        search = job.search
        self._settle(job, Amount(calls=getattr(error, "attempts", 0)), allotment)
        if isinstance(job.work, Propose):
            known = search.failed
            refused = search.fail_proposal(job.work, error)
            await self._record(CandidatesProposed(search.plan.scope, job.number, (), refused))
            if search.failed and not known:
                await self._record(ProblemMet(search.plan.scope, search.reason))
        else:
            search.fail_notes()
            await self._record(ProblemMet(search.plan.scope, f"no notes: {error}"))
            await self._record(NotesTaken(search.plan.scope, job.number, search.notes))

    async def _drop(self) -> None:
        """Give up the work in flight. It counts as planned: what was sent may be billed."""
        for number in sorted(self._in_flight):
            await self._take_dropped(self._in_flight[number])

    async def _take_dropped(self, job: Job) -> None:
        search, scope = job.search, job.search.plan.scope
        if isinstance(job.work, Propose):
            search.drop_proposal(job.work)
            await self._record(CandidatesProposed(scope, job.number, (), {}, dropped=True))
        else:
            search.fail_notes()
            await self._record(NotesTaken(scope, job.number, search.notes, dropped=True))

    def _settle(self, job: Job, actual: Amount, allotment: Allotment) -> None:
        allotment.settle(job.planned, actual)
        job.search.cost += job.planned * -1.0 + actual

    def _answer_cost(self, evaluation: Evaluation) -> Amount:
        total = Amount()
        for (_, model), scored in evaluation.scored.items():
            rows = len(scored.outcomes.ids) + len(scored.outcomes.failed)
            total += priced(scored.cost, self._scenario.models[model].price, evaluations=rows)
        return total

    def _written_cost(self, written: Proposed | Reflected) -> Amount:
        return priced(written.cost, self._scenario.models[self._scenario.reference.model].price)
