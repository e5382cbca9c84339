"""A team: the bus, the agents and all they stand on, for one scenario."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, overload
from uuid import uuid4

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup
from structlog.typing import FilteringBoundLogger

from ..runtime.bus import Bus, Event, Header, InProcessBus, headed
from ..runtime.concurrency import ungrouped
from ..runtime.evaluation.objective import Objective
from ..runtime.evaluation.own_metrics import OwnMetric
from ..runtime.llm.budget.budget import Budget
from ..runtime.llm.connection import Client
from ..runtime.llm.ledger.ledger import open_ledger
from ..runtime.llm.probes import probe_json_object
from ..runtime.llm.stack import Models, SpendingNow, check_endpoints, open_models, used_endpoints
from ..runtime.record.history import Record, open_history, refuse_another_run, save
from ..runtime.record.responses import open_responses
from ..runtime.record.results import Results, Status, write
from ..runtime.report.page import write_page
from ..runtime.tasks.load import LoadedTask
from ..runtime.tasks.task import Task
from ..runtime.telemetry import Telemetry
from ..scenarios import Scenario
from ..scenarios.scenario import variants
from .application import TargetFunction
from .assembly import (
    Parts,
    batches_at_once,
    logprobs,
    lost_targets,
    relay_of,
    sampling,
    target_agent,
    writing,
)
from .coordinator.agent import Coordinator
from .coordinator.estimate import Estimate, estimate, row_characters
from .coordinator.evaluator import Evaluator
from .coordinator.plan import CallCounts, check_budget, hosted, target_plans
from .events import Following, log_events, open_log
from .judge.agent import Judge
from .judge.rubrics import Judging
from .loading import foreseen, prepared, resolve
from .reference.agent import Reference
from .reference.strategies import STRATEGIES, Strategy
from .scorer import Readings, Scorer
from .target import ApplicationTarget, Target

LAST_WORD_SECONDS = 5.0
"""How long the bus may take to tell that a run has ended."""

E = TypeVar("E", bound=Event)


class Team:
    """Builds and supervises the agents of one scenario.

        async with Team(scenario, out=Path("runs/mine")) as team:
            team.bus.subscribe(PromptScored, on_scored)
            results = await team.run()

    With `out`, the run is durable: model calls are recorded there and a run of the same scenario resumes.
    Without it nothing is written, and what calls came to is held in memory until the end. Leaving the context
    ends the run if it goes on, and every agent, connection and child process.

    What may be the host's own: `clients` by endpoint name (a `ChatClient`, or an `AsyncOpenAI`, which is
    asked without its own retries and left open); `targets`, functions by target model, and `served`, target
    models for which the host serves `Answer` on the bus; `metrics`, functions under the names that the
    scenario uses for them (`module:function`), which then are not imported; `strategy`, in place of the
    scenario's; `bus`, which the host enters and leaves itself; `log`, a structlog logger that is told every
    event; `telemetry`, for spans and metrics in the host's OpenTelemetry providers.

    Calls of `clients` and `targets` are limited, retried, budgeted and recorded like any other: a resumed run
    replays them, as long as their endpoints keep their `base_url` or `host` name. What is `served` is neither
    counted nor replayed.

    Raises InputError on entering when the scenario's data or settings are wrong, EndpointError when a model
    cannot be started or reached.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        out: Path | None = None,
        bus: Bus | None = None,
        clients: Mapping[str, Client] | None = None,
        targets: Mapping[str, TargetFunction] | None = None,
        served: Collection[str] = (),
        metrics: Mapping[str, OwnMetric] | None = None,
        strategy: Strategy | None = None,
        log: FilteringBoundLogger | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.scenario = scenario
        self.run_id = uuid4().hex[:12]
        own = InProcessBus()
        self.bus: Bus = bus or own
        self._bus_scope = own if bus is None else nullcontext()
        self._following = Following()
        if log is not None:
            self._following.call(log_events(log))
        self._telemetry = telemetry
        if telemetry is not None:
            self.bus.intercept(telemetry.asks(self.run_id))
        self._out = out
        self._relay = relay_of(scenario, clients or {}, {*served, *(targets or {})})
        relayed = self._relay.clients if self._relay else {}
        self._parts = Parts({**relayed, **(clients or {})}, targets or {}, frozenset(served))
        self._metrics = dict(metrics or {})
        self._strategy = strategy or STRATEGIES[scenario.strategy]
        self._context: AbstractAsyncContextManager[None] | None = None
        self._coordinator: Coordinator | None = None
        self._models: Models | None = None
        self._running: anyio.CancelScope | None = None
        self._begun = False
        self._ended = anyio.Event()
        self._started = 0.0

    def check(self) -> dict[str, LoadedTask]:
        """Everything that can be wrong before a call is made: data, objective, judge, metrics of one's own,
        operators, keys, model files, how answers are read, keys and values of variants.

        Returns the tasks as loaded. Raises InputError.
        """
        loaded, _ = self._checked()
        return loaded

    def _checked(self) -> tuple[dict[str, LoadedTask], Readings]:
        variants(self.scenario, self.scenario.folder)
        judging = self._judging
        writing(self.scenario)
        self._parts.check(self.scenario)
        check_endpoints(self.scenario, self._parts.clients_for(self.scenario), self._parts.served)
        loaded = self.prepared()
        judging.check({name: task.task for name, task in loaded.items()})
        readings = self.readings(loaded)
        plans = target_plans(self.scenario, self._strategy)
        check_budget(self.scenario, self._strategy, CallCounts(loaded, readings, judging), plans)
        return loaded, readings

    def estimate(self) -> Estimate:
        """What the run would take; no call is made. Raises InputError as `check` does."""
        loaded, readings = self._checked()
        return estimate(self.scenario, self._strategy, loaded, readings, self._judging)

    def readings(self, loaded: Mapping[str, LoadedTask]) -> Readings:
        """How each task is read from each model, before any call: what endpoints can do is taken from the
        scenario, and log-probabilities are assumed where it says nothing. Raises InputError where they are
        needed and the scenario denies them."""
        tasks = {name: task.task for name, task in loaded.items()}
        return foreseen(self.scenario, tasks, hosted(self.scenario), self._parts.targets)

    def prepared(self) -> dict[str, LoadedTask]:
        """The tasks of the scenario with their rows; InputError when data is missing or wrong."""
        return {name: prepared(self.scenario, name) for name in self.scenario.tasks}

    async def run(self) -> Results:
        """Both stages and the test; with an output folder also writes `results.json` and `report.html` there.

        A run that is stopped returns what it has. One that is cancelled or fails writes what it has before
        the error goes on. A team runs once.
        """
        if self._coordinator is None or self._begun:
            raise RuntimeError("enter the team (async with) before running it; a team runs once")
        self._begun = True
        if self._telemetry is None:
            with headed(Header(0, run=self.run_id)):
                return await self._run(self._coordinator)
        with self._telemetry.run(self.scenario.name, self.run_id) as ended:
            results = await self._run(self._coordinator)
            ended(results.status)
        return results

    @overload
    def events(self, *, buffer: int = 1024) -> AsyncIterator[Event]: ...

    @overload
    def events(self, *kinds: type[E], buffer: int = 1024) -> AsyncIterator[E]: ...

    def events(self, *kinds: type[Event], buffer: int = 1024) -> AsyncIterator[Event]:
        """The events of these kinds (of all, when none is named), from now on until the run has ended.

            async with Team(scenario) as team, anyio.create_task_group() as tasks:
                tasks.start_soon(team.run)
                async for event in team.events(PromptScored):
                    ...

        Who lags by more than `buffer` events loses the oldest.
        """
        return self._following.stream(kinds, buffer)

    async def _run(self, coordinator: Coordinator) -> Results:
        status: Status = "failed"
        try:
            with anyio.CancelScope() as self._running:
                status = (await coordinator.run()).status
            if self._running.cancelled_caught:
                status = "interrupted"
        except anyio.get_cancelled_exc_class():
            status = "interrupted"
            raise
        finally:
            results = self._results(status)
            self._running = None
            with anyio.CancelScope(shield=True):
                with anyio.move_on_after(LAST_WORD_SECONDS):
                    await coordinator.end(status)
                    await self._following.over.wait()
                if self._out is not None:
                    await anyio.to_thread.run_sync(write_page, self._out)
            self._ended.set()
        return results

    async def stop(self, *, patience: float = 30.0) -> None:
        """End a run early: no further call is sent, those in flight finish (within `patience` seconds) and
        are recorded, and `run` returns what is complete, with the status `interrupted`. Does nothing where
        no run is going on.
        """
        if self._running is not None:
            assert self._models is not None
            with anyio.move_on_after(patience):
                await self._models.drain()
            self._running.cancel()

    def now(self) -> SpendingNow:
        """What is spent and what limits hold at this moment, for displays; only inside the context."""
        assert self._models is not None, "enter the team (async with) first"
        return self._models.now()

    def _results(self, status: Status) -> Results:
        assert self._coordinator is not None
        assert self._models is not None
        usage = msgspec.structs.replace(
            self._models.usage(), seconds=round(anyio.current_time() - self._started, 3)
        )
        results = msgspec.structs.replace(self._coordinator.results(status), usage=usage)
        if self._out is not None:
            write(results, self._out / "results.json")
        return results

    async def __aenter__(self) -> Self:
        self._context = self._assembled()
        await self._context.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._context is not None
        return await self._context.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _assembled(self) -> AsyncGenerator[None]:
        scenario, out = self.scenario, self._out
        self._started = anyio.current_time()
        loaded = self.check()
        objective, judging = Objective.of(scenario.scorer), self._judging
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            refuse_another_run(scenario, out)
        budget = Budget(scenario.budget)
        with ExitStack() as files:
            if out is not None:
                self._following.call(log_events(files.enter_context(open_log(out / "log.jsonl"))))
            async with (
                ungrouped(),
                open_ledger(out / "ledger.sqlite" if out else None) as ledger,
                open_models(
                    scenario,
                    ledger=ledger,
                    budget=budget,
                    clients=self._parts.clients_for(scenario),
                    served=self._parts.served,
                    relays=self._relay.relays if self._relay else None,
                    wrap=None if self._telemetry is None else self._telemetry.model,
                ) as models,
                self._relay or nullcontext(),
                self._bus_scope,
                self._following.of(self.bus),
                anyio.create_task_group() as tasks,
            ):
                self._models = models
                history = files.enter_context(open_history(out / "history.jsonl" if out else None))
                responses = files.enter_context(open_responses(out / "responses.jsonl" if out else None))
                if out is not None:
                    save(scenario, out / "scenario.yaml")
                known = {name: task.task for name, task in loaded.items()}
                lost = await self._lost()
                able = await logprobs(scenario, self._parts, models, lost)
                readings = resolve(scenario, known, able, self._parts.targets)
                await self._start(tasks, known, readings, models)
                splits = {name: task.splits for name, task in loaded.items()}
                record = Record(history, self.bus)
                evaluator = Evaluator(
                    self.bus,
                    record,
                    splits=splits,
                    objective=objective,
                    max_failed=scenario.scorer.max_failed,
                    seed=scenario.seed,
                    judging=judging,
                )
                for model, reason in lost.items():
                    await evaluator.lose(model, reason)
                self._coordinator = Coordinator(
                    scenario,
                    bus=self.bus,
                    record=record,
                    evaluator=evaluator,
                    responses=responses,
                    tasks=known,
                    objective=objective,
                    budget=budget,
                    counts=CallCounts(loaded, readings, judging),
                    strategy=self._strategy,
                    row_characters=row_characters(scenario, loaded, readings),
                )
                async with self._until_ended():
                    yield
                tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def _until_ended(self) -> AsyncGenerator[None]:
        """A run that goes on when this scope is left, in a task outside it, is ended first."""
        yield
        if self._running is not None:
            self._running.cancel()
            await self._ended.wait()

    async def _lost(self) -> dict[str, str]:
        scenario, parts = self.scenario, self._parts
        given = parts.clients_for(scenario)
        ours = [name for name in used_endpoints(scenario, parts.served) if name not in given]
        missing = await self._relay.missing() if self._relay else {}
        return await lost_targets(scenario, ours, missing, judges=self._judging.rates)

    async def _start(
        self, tasks: TaskGroup, known: Mapping[str, Task], readings: Readings, models: Models
    ) -> None:
        judging = self._judging
        if judging.rates:
            await self._start_judge(tasks, judging, models)
        scorer = Scorer(self.bus, tasks=known, readings=readings, judging=judging)
        for name in hosted(self.scenario):
            workers = batches_at_once(self.scenario, name)
            await scorer.start(tasks, model=name, workers=workers)
            if name in self._parts.served:
                continue
            target = target_agent(
                self.bus,
                self.scenario,
                name,
                client=models.client(name, "target"),
                tasks=known,
                readings=readings,
                kind=ApplicationTarget if name in self._parts.targets else Target,
            )
            await target.start(tasks, workers=workers)
        writer = self.scenario.reference.model
        reference = Reference(
            self.bus,
            client=models.client(writer, "reference"),
            writing=writing(self.scenario),
            strategy=self._strategy,
        )
        await reference.start(tasks)

    async def _start_judge(self, tasks: TaskGroup, judging: Judging, models: Models) -> None:
        name = self.scenario.scorer.model
        assert name is not None, "the schema asks for scorer.model where anything is judged"
        client, asked = models.client(name, "scorer"), sampling(self.scenario, name)
        able = self.scenario.endpoint_of(name).json_object
        if able is None:
            able = await probe_json_object(client, asked.model)
        judge = Judge(self.bus, client=client, sampling=asked, judging=judging, json_object=able)
        await judge.start(tasks, workers=batches_at_once(self.scenario, name))

    @cached_property
    def _judging(self) -> Judging:
        scorer = self.scenario.scorer
        return Judging.of(scorer, Objective.of(scorer), self._metrics, folder=self.scenario.folder)
