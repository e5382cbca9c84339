"""A team: the bus, the agents and all they stand on, for one scenario."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload
from uuid import uuid4

import anyio
import anyio.to_thread
import msgspec

from ..runtime.bus import Bus, Event, Header, InProcessBus, Request, headed
from ..runtime.concurrency import current_task
from ..runtime.evaluation.own_metrics import OwnMetric
from ..runtime.llm.connection import Client
from ..runtime.llm.limits.shared import Endpoints
from ..runtime.llm.stack import SpendingNow
from ..runtime.record.results import Results, Status, write
from ..runtime.report.page import write_page
from ..runtime.report.tracking import Tracker, Tracking
from ..runtime.tasks.load import LoadedTask
from ..runtime.telemetry import RunSpan, Telemetry
from ..scenarios import Scenario
from .application import TargetFunction
from .assembly import Assembler, Assembly
from .checks import Checked, check, estimated, relay_of
from .coordinator.agent import Coordinator
from .coordinator.estimate import Estimate
from .events import Following, log_events
from .parts import Parts
from .reference.strategies import Strategy, strategy_of

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

LAST_WORD_SECONDS = 5.0
"""Seconds the bus may take to report that a run has ended."""

E = TypeVar("E", bound=Event)


class Team:
    """Builds and supervises the agents of one scenario.

        async with Team(scenario, out="runs/mine") as team:
            team.bus.subscribe(PromptScored, on_scored)
            results = await team.run()

    With `out`, the run is durable: model calls are recorded there and a run of the same scenario resumes.
    Without it nothing is written, and the results of calls are held in memory until the end. Leaving the
    context ends the run if it goes on, and every agent, connection and child process.

    What may be the host's own: `clients` by endpoint name (a `ChatClient`, or an `AsyncOpenAI`, which is
    asked without its own retries and left open); `targets`, functions by target model, and `served`, target
    models for which the host serves `Answer` on the bus, and requests that it serves in place of the Scorer
    (`Score`, for every target), the Reference (`Propose`, `Reflect`) or the Judge (`JudgeResponses`,
    `JudgePrompt`, `CompareResponses`); `metrics`, functions under the names that the
    scenario uses for them (`module:function`), which then are not imported; `strategy`, in place of the
    scenario's; `bus`, which the host enters and leaves itself; `log`, a structlog logger that receives every
    event; `telemetry`, for spans and metrics in the host's OpenTelemetry providers; `trackers`, experiment
    trackers such as `tp.MLflow()`; `endpoints`, limits that several teams share.

    Calls of `clients` and `targets` are limited, retried, budgeted and recorded like any other: a resumed run
    replays them, as long as their endpoints keep their `base_url` or `host` name. What is `served` is neither
    counted nor replayed.

    It runs on asyncio (uvloop too), and is left in the task that entered it; RuntimeError otherwise.

    Raises InputError on entering when the scenario's data or settings are wrong, EndpointError when a model
    cannot be started or reached.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        out: str | Path | None = None,
        bus: Bus | None = None,
        clients: Mapping[str, Client] | None = None,
        targets: Mapping[str, TargetFunction] | None = None,
        served: Collection[str | type[Request[Any]]] = (),
        metrics: Mapping[str, OwnMetric] | None = None,
        strategy: Strategy | None = None,
        log: "FilteringBoundLogger | None" = None,
        telemetry: Telemetry | None = None,
        trackers: Sequence[Tracker] = (),
        endpoints: Endpoints | None = None,
    ) -> None:
        self.scenario = scenario
        self.run_id = uuid4().hex[:12]
        own = InProcessBus()
        self.bus: Bus = bus or own
        self._bus_scope = own if bus is None else nullcontext()
        self._following = Following()
        if log is not None:
            self._following.call(log_events(log))
        self._tracking = Tracking(trackers)
        self._following.call(self._tracking.take)
        self._telemetry = telemetry
        self._span: RunSpan | None = None
        self._endpoints = endpoints
        if telemetry is not None:
            self.bus.intercept(telemetry.asks(self.run_id))
        self._out = None if out is None else Path(out)
        models = frozenset(one for one in served if isinstance(one, str))
        kinds = frozenset(one for one in served if not isinstance(one, str))
        self._relay = relay_of(scenario, clients or {}, {*models, *(targets or {})})
        relayed = self._relay.clients if self._relay else {}
        self._parts = Parts({**relayed, **(clients or {})}, targets or {}, models, kinds)
        self._metrics = dict(metrics or {})
        self._strategy = strategy or strategy_of(scenario)
        self._context: AbstractAsyncContextManager[None] | None = None
        self._task: asyncio.Task[object] | None = None
        self._assembly: Assembly | None = None
        self._running: anyio.CancelScope | None = None
        self._begun = False
        self._ended = anyio.Event()
        self._started = 0.0

    def check(self) -> dict[str, LoadedTask]:
        """Check everything that can be wrong before a call is made: data, objective, judge, metrics of one's
        own, operators, keys, model files, how answers are read, variants, and a budget that is too small.

        Returns the tasks as loaded. Raises InputError.
        """
        return self._checked().loaded

    def estimate(self) -> Estimate:
        """Estimate what the budget buys; no call is made. Raises InputError as `check` does."""
        return estimated(self.scenario, self._strategy, self._checked())

    def _checked(self) -> Checked:
        return check(self.scenario, self._strategy, self._parts, self._metrics)

    async def run(self) -> Results:
        """Both stages and the test; with an output folder also writes `results.json` and `report.html` there.

        A run that is stopped returns what it has. One that is cancelled or fails writes what it has before
        the error goes on. A team runs once. Raises EndpointError where a tracker cannot begin.
        """
        if self._assembly is None or self._begun:
            raise RuntimeError("enter the team (async with) before running it; a team runs once")
        self._begun = True
        async with self._tracking.of(self.scenario, self.run_id, self._out):
            if self._span is None:
                with headed(Header(0, run=self.run_id)):
                    return await self._run(self._assembly.coordinator)
            with self._span.current():
                results = await self._run(self._assembly.coordinator)
                self._span.ended(results.status)
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

        A subscriber that falls behind by more than `buffer` events loses the oldest.
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
            self._running = None
            try:
                results = await self._finished(coordinator, status)
            finally:
                self._ended.set()
        return results

    async def _finished(self, coordinator: Coordinator, status: Status) -> Results:
        """The results, once they are written, observers have seen the last event, and trackers have ended."""
        results = self._results(status)
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(LAST_WORD_SECONDS):
                await coordinator.end(status)
                await self._following.over.wait()
            if self._out is not None:
                await anyio.to_thread.run_sync(write_page, self._out)
            await self._tracking.end(results, self._out)
        return results

    async def stop(self, *, patience: float = 30.0) -> None:
        """End a run early: no further call is sent, those in flight finish (within `patience` seconds) and
        are recorded, and `run` returns what is complete, with the status `interrupted`. Does nothing where
        no run is going on.
        """
        running = self._running
        if running is not None:
            assert self._assembly is not None
            with anyio.move_on_after(patience):
                await self._assembly.models.drain()
            running.cancel()  # of no effect where the run has ended meanwhile

    def now(self) -> SpendingNow:
        """Current spending and limits, for displays; only inside the context."""
        assert self._assembly is not None, "enter the team (async with) first"
        return self._assembly.models.now()

    def _results(self, status: Status) -> Results:
        assert self._assembly is not None
        usage = msgspec.structs.replace(
            self._assembly.models.usage(), seconds=round(anyio.current_time() - self._started, 3)
        )
        results = msgspec.structs.replace(self._assembly.coordinator.results(status), usage=usage)
        if self._out is not None:
            write(results, self._out / "results.json")
        return results

    async def __aenter__(self) -> Self:
        self._task = current_task()
        self._context = self._assembled()
        await self._context.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._context is not None
        if self._task is not current_task():
            raise RuntimeError(
                "a team is left in the task that entered it: keep `async with Team(...)` in one task, and "
                "end its run from elsewhere by team.stop()"
            )
        return await self._context.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _assembled(self) -> AsyncGenerator[None]:
        self._started = anyio.current_time()
        # Searches need it; it takes half a second to load, for which the host's loop must not wait.
        await anyio.to_thread.run_sync(import_module, "scipy.special")
        assembler = Assembler(
            scenario=self.scenario,
            strategy=self._strategy,
            parts=self._parts,
            metrics=self._metrics,
            bus=self.bus,
            bus_scope=self._bus_scope,
            relay=self._relay,
            following=self._following,
            out=self._out,
            telemetry=self._telemetry,
            endpoints=self._endpoints,
        )
        async with AsyncExitStack() as opened:
            if self._telemetry is None:
                self._assembly = await opened.enter_async_context(assembler.open())
            else:
                self._span = self._telemetry.begin(self.scenario.name, self.run_id)
                opened.callback(self._span.end)
                with self._span.current():  # the probes of models are a part of the run
                    self._assembly = await opened.enter_async_context(assembler.open())
            try:
                yield
            finally:
                if self._running is not None:  # a run that goes on in a task outside this scope ends first
                    self._running.cancel()
                    with anyio.CancelScope(shield=True):
                        await self._ended.wait()
