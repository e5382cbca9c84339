"""A team: the bus, the agents and all they stand on, for one scenario."""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
import anyio.to_thread
import msgspec
import yaml
from anyio.abc import TaskGroup

from ..runtime.bus import Event, InProcessBus
from ..runtime.concurrency import ungrouped
from ..runtime.errors import EndpointError, InputError
from ..runtime.evaluation.likelihood import distinguishable
from ..runtime.evaluation.objective import Objective
from ..runtime.llm.budget.budget import Budget
from ..runtime.llm.json_probe import probe_json_object
from ..runtime.llm.ledger.ledger import open_ledger
from ..runtime.llm.preflight import unreachable
from ..runtime.llm.protocol import ChatClient
from ..runtime.llm.stack import Models, SpendingNow, check_endpoints, open_models, probe_logprobs
from ..runtime.log import open_log
from ..runtime.report.page import write_page
from ..runtime.report.responses import open_responses
from ..runtime.report.results import Results, Status, write
from ..runtime.search.history import open_history
from ..runtime.tasks.load import LoadedTask, load_task
from ..runtime.tasks.task import Task
from ..scenarios import Scenario
from .calls import Calls
from .coordinator import Coordinator
from .estimate import Estimate, estimate
from .hosting import batches_at_once, sampling, target_agent
from .judge import Judge
from .judging import Judging
from .log import log_events
from .operators import known
from .panel import Panel
from .plan import hosted
from .readings import probed, resolve
from .record import Record
from .reference import Reference, Writing
from .scorer import Readings, Scorer
from .strategies import STRATEGIES, Strategy

if TYPE_CHECKING:
    from .fleet import Fleet

DEFAULT_OPERATORS = ("improve",)


class Team:
    """Builds and supervises the agents of one scenario.

        async with Team(scenario, out=Path("runs/mine")) as team:
            team.bus.subscribe(PromptScored, on_scored)
            results = await team.run()

    With `out`, the run is durable: model calls are recorded there and a run of the same scenario resumes.
    Without it nothing is kept. A scenario with `bus` has its targets hosted by workers. `bus`, `clients`
    (chat clients by endpoint name) and `strategy` (in place of the scenario's) may be the host's.
    Leaving the context ends every agent, connection and child process. Raises InputError on entering when
    the scenario's data or settings are wrong, EndpointError when a model cannot be started or reached.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        out: Path | None = None,
        bus: InProcessBus | None = None,
        clients: Mapping[str, ChatClient] | None = None,
        strategy: Strategy | None = None,
    ) -> None:
        self.scenario = scenario
        self._fleet = _fleet(scenario, clients or {}) if bus is None else None
        self.bus = bus or (self._fleet.bus if self._fleet else InProcessBus())
        self._out = out
        self._clients = {**(self._fleet.clients if self._fleet else {}), **(clients or {})}
        self._strategy = strategy or STRATEGIES[scenario.strategy]
        self._context: AbstractAsyncContextManager[None] | None = None
        self._coordinator: Coordinator | None = None
        self._models: Models | None = None
        self._running: anyio.CancelScope | None = None
        self._started = 0.0

    def check(self) -> dict[str, LoadedTask]:
        """Everything that can be wrong before a call is made: data, objective, judge, metrics of one's own,
        operators, keys, model files.

        Returns the tasks as loaded. Raises InputError.
        """
        judging = self._judging()
        self._writing()
        check_endpoints(self.scenario, given=self._clients)
        loaded = self.prepared()
        judging.check({name: task.task for name, task in loaded.items()})
        return loaded

    def estimate(self) -> Estimate:
        """What the run would take; no call is made. Raises InputError as `check` does."""
        loaded = self.check()
        return estimate(self.scenario, self._strategy, loaded, self.readings(loaded), self._judging())

    def readings(self, loaded: Mapping[str, LoadedTask]) -> Readings:
        """How each task is read from each model, before any call: what endpoints can do is taken from the
        scenario, and log-probabilities are assumed where it says nothing. Raises InputError where they are
        needed and the scenario denies them."""
        scenario = self.scenario
        tasks = {name: task.task for name, task in loaded.items()}
        endpoints = {name: scenario.endpoints[scenario.models[name].endpoint] for name in hosted(scenario)}
        able = {name: endpoint.logprobs is not False for name, endpoint in endpoints.items()}
        return resolve(scenario, tasks, able)

    def prepared(self) -> dict[str, LoadedTask]:
        """The tasks of the scenario with their rows; InputError when data is missing or wrong."""
        return {name: _prepared(self.scenario, name) for name in self.scenario.tasks}

    async def run(self) -> Results:
        """Both stages and the test; with an output folder also writes `results.json` and `report.html` there.

        A run that is stopped returns what it has. One that is cancelled or fails writes what it has before
        the error goes on.
        """
        assert self._coordinator is not None, "enter the team (async with) before running it"
        status: Status = "failed"
        try:
            with anyio.CancelScope() as self._running:
                status = (await self._coordinator.run()).status
            if self._running.cancelled_caught:
                status = "interrupted"
        except anyio.get_cancelled_exc_class():
            status = "interrupted"
            raise
        finally:
            results = self._results(status)
            self._running = None
            if self._out is not None:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(write_page, self._out)
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
        objective, judging = Objective.of(scenario.scorer), self._judging()
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            _refuse_another_run(scenario, out)
        budget = Budget(scenario.budget)
        with ExitStack() as files:
            async with (
                ungrouped(),
                open_ledger(out / "ledger.sqlite" if out else None) as ledger,
                open_models(
                    scenario,
                    ledger=ledger,
                    budget=budget,
                    clients=self._clients,
                    relays=self._fleet.relays if self._fleet else None,
                ) as models,
                self.bus,
                anyio.create_task_group() as tasks,
            ):
                self._models = models
                history = files.enter_context(open_history(out / "history.jsonl" if out else None))
                responses = files.enter_context(open_responses(out / "responses.jsonl" if out else None))
                if out is not None:
                    _save(scenario, out / "scenario.yaml")
                    self.bus.subscribe(Event, log_events(files.enter_context(open_log(out / "log.jsonl"))))
                known = {name: task.task for name, task in loaded.items()}
                lost = await self._unreachable()
                if self._fleet is not None:
                    lost |= await self._fleet.gather(loaded)
                readings = await self._readings(known, models, lost)
                await self._start(tasks, known, readings, models)
                if self._fleet is not None:
                    lost |= await self._fleet.start(tasks, models, readings, lost)
                splits = {name: task.splits for name, task in loaded.items()}
                record = Record(history, self.bus)
                panel = Panel(
                    self.bus,
                    record,
                    splits=splits,
                    objective=objective,
                    max_failed=scenario.scorer.max_failed,
                    seed=scenario.seed,
                    judging=judging,
                )
                for model, reason in lost.items():
                    await panel.lose(model, reason)
                self._coordinator = Coordinator(
                    scenario,
                    bus=self.bus,
                    record=record,
                    panel=panel,
                    responses=responses,
                    tasks=known,
                    objective=objective,
                    budget=budget,
                    calls=Calls(loaded, readings, judging),
                    strategy=self._strategy,
                )
                yield
                tasks.cancel_scope.cancel()

    async def _unreachable(self) -> dict[str, str]:
        """The target models whose endpoint accepts no connection, with the reason.

        EndpointError when it is the reference LLM's or the judge's, or when no target is left.
        """
        scenario = self.scenario
        found: dict[str, str | None] = {}
        for name in dict.fromkeys(model.endpoint for model in scenario.models.values()):
            endpoint = scenario.endpoints[name]
            if endpoint.base_url is not None and name not in self._clients:
                found[name] = await unreachable(str(endpoint.base_url))
        reasons = {name: reason for name, reason in found.items() if reason is not None}
        lost = {
            model: f"endpoint {scenario.models[model].endpoint!r}: {reason}"
            for model in hosted(scenario)
            if (reason := reasons.get(scenario.models[model].endpoint)) is not None
        }
        roles = {"reference LLM": scenario.reference.model}
        if scenario.scorer.model is not None and self._judging().rates:
            roles["scorer LLM"] = scenario.scorer.model
        for role, model in roles.items():
            endpoint = scenario.models[model].endpoint
            if endpoint in reasons:
                raise EndpointError(f"endpoint {endpoint!r} of the {role}: {reasons[endpoint]}")
        if len(lost) == len(hosted(scenario)):
            raise EndpointError("no target can be reached: " + "; ".join(sorted(set(lost.values()))))
        return lost

    async def _readings(self, tasks: Mapping[str, Task], models: Models, lost: Mapping[str, str]) -> Readings:
        able = {
            name: name in lost or await self._has_logprobs(name, models) for name in hosted(self.scenario)
        }
        return resolve(self.scenario, tasks, able)

    async def _has_logprobs(self, model: str, models: Models) -> bool:
        scenario = self.scenario
        endpoint = scenario.endpoints[scenario.models[model].endpoint]
        if not probed(scenario, model):
            return bool(endpoint.logprobs)
        name = scenario.models[model].model
        return await probe_logprobs(models.client(model, "target"), name, endpoint.top_logprobs)

    async def _start(
        self, tasks: TaskGroup, known: Mapping[str, Task], readings: Readings, models: Models
    ) -> None:
        judging = self._judging()
        if judging.rates:
            await self._start_judge(tasks, judging, models)
        scorer = Scorer(self.bus, tasks=known, readings=readings, judging=judging)
        for name in hosted(self.scenario):
            workers = batches_at_once(self.scenario, name)
            if self._fleet is None:
                target = target_agent(
                    self.bus,
                    self.scenario,
                    name,
                    client=models.client(name, "target"),
                    tasks=known,
                    readings=readings,
                )
                await target.start(tasks, workers=workers)
            await scorer.start(tasks, model=name, workers=workers)
        writer = self.scenario.reference.model
        reference = Reference(
            self.bus,
            client=models.client(writer, "reference"),
            writing=self._writing(),
            strategy=self._strategy,
        )
        await reference.start(tasks)

    async def _start_judge(self, tasks: TaskGroup, judging: Judging, models: Models) -> None:
        name = self.scenario.scorer.model
        assert name is not None, "the schema asks for scorer.model where anything is judged"
        client, asked = models.client(name, "scorer"), sampling(self.scenario, name)
        able = self.scenario.endpoints[self.scenario.models[name].endpoint].json_object
        if able is None:
            able = await probe_json_object(client, asked.model)
        judge = Judge(self.bus, client=client, sampling=asked, judging=judging, json_object=able)
        await judge.start(tasks, workers=batches_at_once(self.scenario, name))

    def _judging(self) -> Judging:
        return Judging.of(self.scenario.scorer, Objective.of(self.scenario.scorer))

    def _writing(self) -> Writing:
        scenario = self.scenario
        settings = scenario.reference
        model = scenario.models[settings.model]
        endpoint = scenario.endpoints[model.endpoint]
        temperature = settings.temperature if model.temperature is None else model.temperature
        last = settings.final_temperature
        return Writing(
            model=model.model,
            temperature=temperature,
            final_temperature=temperature if last is None else last,
            max_tokens=model.max_tokens or settings.max_tokens,
            max_characters=settings.max_characters,
            operators=known(settings.operators or DEFAULT_OPERATORS),
            population=settings.population,
            positions=tuple(settings.positions),
            seed=scenario.seed,
            seeded=endpoint.local is not None if endpoint.seeded is None else endpoint.seeded,
        )


def _fleet(scenario: Scenario, given: Collection[str]) -> "Fleet | None":
    if scenario.bus is None:
        return None
    try:
        from .fleet import Fleet
    except ModuleNotFoundError as error:
        raise InputError(
            f"bus: needs the extra nats: pip install 'transfer-prompting[nats]' ({error})"
        ) from None
    return Fleet(scenario, scenario.bus, given)


def _prepared(scenario: Scenario, name: str) -> LoadedTask:
    settings = scenario.tasks[name]
    first_seed = scenario.stages.source.seed_prompts[0]
    loaded = load_task(name, settings, folder=scenario.folder, seed=scenario.seed, seed_prompt=first_seed)
    if settings.read != "likelihood":
        return loaded
    row = loaded.splits.train[0].asked()
    alike = distinguishable(loaded.task.answers.allowed(row)) if loaded.task.closed else []
    said = (
        f"labels {one!r} and {other!r} begin alike: one token may not tell them apart" for one, other in alike
    )
    return msgspec.structs.replace(loaded, warnings=(*loaded.warnings, *said))


def _refuse_another_run(scenario: Scenario, out: Path) -> None:
    path = out / "scenario.yaml"
    if not path.is_file():
        return
    held = yaml.safe_load(path.read_text(encoding="utf-8"))
    name = held.get("name") if isinstance(held, dict) else None
    if name != scenario.name:
        raise InputError(f"{out} holds a run of {name!r}, not of {scenario.name!r}; choose another --out")


def _save(scenario: Scenario, path: Path) -> None:
    """The scenario as resolved, runnable from any folder."""
    data = scenario.absolute().model_dump(mode="json", exclude_none=True)
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
