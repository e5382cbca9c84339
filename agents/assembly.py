"""Assembly of a team: its agents and all they stand on."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup

from ..runtime.bus import Bus
from ..runtime.concurrency import current_task, ungrouped
from ..runtime.errors import WriteFailed
from ..runtime.evaluation.own_metrics import OwnMetric
from ..runtime.llm.budget.budget import Budget
from ..runtime.llm.chat import ChatClient
from ..runtime.llm.ledger.ledger import open_ledger
from ..runtime.llm.limits.shared import Endpoints
from ..runtime.llm.probes import probe_json_object
from ..runtime.llm.stack import Models, open_models, used_endpoints
from ..runtime.messages import JudgeResponses, Score
from ..runtime.record.folder import prepare_folder, save
from ..runtime.record.history import Record, open_history
from ..runtime.record.responses import open_responses
from ..runtime.record.results import Results, write
from ..runtime.tasks.load import LoadedTask
from ..runtime.tasks.task import Task
from ..runtime.telemetry import Telemetry
from ..scenarios import Scenario
from .availability import logprobs, lost_targets, refused_targets
from .checks import Checked, check, writing
from .coordinator.agent import Coordinator
from .coordinator.estimate import row_characters
from .coordinator.evaluator import Evaluator
from .coordinator.plan import CallCounts, hosted
from .events import Following, log_events, open_log
from .judge.agent import Judge
from .judge.rubrics import Judging
from .loading import fallbacks, resolve
from .parts import Parts
from .reference.agent import Reference
from .reference.strategies import Strategy
from .scorer import BATCH, Readings, Scorer
from .target import ApplicationTarget, Sampling, Target

if TYPE_CHECKING:
    from ..runtime.llm.relay import Relay

MOST_IN_BATCHES = 1_000_000
"""Requests handled at once for a model whose final test goes in batches."""


class Assembly(msgspec.Struct, frozen=True):
    """A team that is ready: its models, its evaluator, and its Coordinator with every other agent serving."""

    models: Models
    evaluator: Evaluator
    coordinator: Coordinator


class Assembler(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a team is made from; `open` makes it, and leaves nothing behind.

    `loaded` are the scenario's tasks where they are loaded already.
    """

    scenario: Scenario
    strategy: Strategy
    parts: Parts
    metrics: Mapping[str, OwnMetric]
    bus: Bus
    bus_scope: AbstractAsyncContextManager[object]
    relay: "Relay | None"
    following: Following
    out: Path | None
    telemetry: Telemetry | None
    endpoints: Endpoints | None = None
    loaded: Mapping[str, LoadedTask] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Assembly]:
        """The agents, serving until the scope ends. Raises InputError and EndpointError, RuntimeError outside
        asyncio."""
        current_task()
        scenario, out = self.scenario, self.out
        checked = await anyio.to_thread.run_sync(
            check, scenario, self.strategy, self.parts, self.metrics, self.loaded
        )
        if out is not None:
            await anyio.to_thread.run_sync(prepare_folder, scenario, out)
            await anyio.to_thread.run_sync(import_module, "structlog")  # of the log; it takes a while
        budget = Budget(scenario.budget)
        notices: list[str] = []
        with ExitStack() as files:
            if out is not None:
                self.following.call(log_events(files.enter_context(open_log(out / "log.jsonl"))))
            async with (
                ungrouped(),
                open_ledger(out / "ledger.sqlite" if out else None) as ledger,
                open_models(
                    scenario,
                    ledger=ledger,
                    budget=budget,
                    clients=self.parts.clients_for(scenario),
                    served=self.parts.served,
                    relays=self.relay.relays if self.relay else None,
                    wrap=None if self.telemetry is None else self.telemetry.model,
                    on_notice=lambda model, text: notices.append(f"model {model}: {text}"),
                    shared_limits=self.endpoints,
                    batches=None if out is None else out / "batches.jsonl",
                ) as models,
                self.relay or nullcontext(),
                self.bus_scope,
                self.following.of(self.bus),
                anyio.create_task_group() as tasks,
            ):
                history = files.enter_context(open_history(out / "history.jsonl" if out else None))
                responses = files.enter_context(open_responses(out / "responses.jsonl" if out else None))
                if out is not None:
                    save(scenario, out / "scenario.yaml")
                try:
                    lost = await self._lost(checked.judging)
                    lost |= await refused_targets(
                        scenario, self.parts, models, lost, judges=checked.judging.rates
                    )
                    able = await logprobs(scenario, self.parts, models, lost)
                except anyio.get_cancelled_exc_class():
                    self._write_unbegun(models)
                    raise
                readings = resolve(scenario, checked.tasks, able, self.parts.targets)
                notices += fallbacks(checked.readings, readings)
                await self._start(tasks, checked, readings, models)
                record = Record(history, self.bus)
                evaluator = Evaluator(
                    self.bus,
                    record,
                    splits={name: task.splits for name, task in checked.loaded.items()},
                    objective=checked.objective,
                    max_failed=scenario.scorer.max_failed,
                    seed=scenario.seed,
                    judging=checked.judging,
                )
                for model, reason in lost.items():
                    await evaluator.lose(model, reason)
                coordinator = Coordinator(
                    scenario,
                    bus=self.bus,
                    record=record,
                    evaluator=evaluator,
                    responses=responses,
                    tasks=checked.tasks,
                    objective=checked.objective,
                    budget=budget,
                    counts=CallCounts(checked.loaded, readings, checked.judging),
                    strategy=self.strategy,
                    row_characters=row_characters(scenario, checked.loaded, readings),
                    notices=notices,
                )
                yield Assembly(models, evaluator, coordinator)
                tasks.cancel_scope.cancel()

    def _write_unbegun(self, models: Models) -> None:
        """Write results without any, of a run that was interrupted while its models were tried; those of an
        earlier invocation stay."""
        if self.out is None or (self.out / "results.json").exists():
            return
        scenario = self.scenario
        results = Results(
            name=scenario.name,
            status="interrupted",
            seed=scenario.seed,
            strategy=self.strategy.name,
            objective=dict(scenario.scorer.objective),
            usage=models.usage(),
        )
        with suppress(WriteFailed):  # the interruption is what ends the run
            write(results, self.out / "results.json")

    async def _lost(self, judging: Judging) -> dict[str, str]:
        scenario, parts = self.scenario, self.parts
        given = parts.clients_for(scenario)
        ours = [name for name in used_endpoints(scenario, parts.served) if name not in given]
        missing = await self.relay.missing() if self.relay else {}
        return await lost_targets(scenario, ours, missing, judges=judging.rates)

    async def _start(self, tasks: TaskGroup, checked: Checked, readings: Readings, models: Models) -> None:
        scenario, bus = self.scenario, self.bus
        if checked.judging.rates:
            await self._start_judge(tasks, checked.judging, models)
        scorer = Scorer(bus, tasks=checked.tasks, readings=readings, judging=checked.judging)
        for name in hosted(scenario):
            workers = _requests_at_once(scenario, name)
            if Score not in self.parts.kinds:
                own = name in self.parts.served or JudgeResponses in self.parts.kinds
                await scorer.start(tasks, model=name, workers=workers, batch=BATCH if own else 1)
            if name in self.parts.served:
                continue
            target = _target(
                bus,
                scenario,
                name,
                client=models.client(name, "target"),
                tasks=checked.tasks,
                readings=readings,
                kind=ApplicationTarget if name in self.parts.targets else Target,
            )
            await target.start(tasks, workers=workers)
        reference = Reference(
            bus,
            client=models.client(scenario.reference.model, "reference"),
            writing=writing(scenario, checked.tasks.values()),
            strategy=self.strategy,
        )
        await reference.start(tasks, served=self.parts.kinds)

    async def _start_judge(self, tasks: TaskGroup, judging: Judging, models: Models) -> None:
        name = self.scenario.scorer.model
        assert name is not None, "the schema asks for scorer.model where anything is judged"
        client, asked = models.client(name, "scorer"), _sampling(self.scenario, name)
        able = self.scenario.endpoint_of(name).json_object
        if able is None:
            able = JudgeResponses in self.parts.kinds or await probe_json_object(client, asked.model)
        judge = Judge(self.bus, client=client, sampling=asked, judging=judging, json_object=able)
        await judge.start(tasks, workers=_requests_at_once(self.scenario, name), served=self.parts.kinds)


def _target(
    bus: Bus,
    scenario: Scenario,
    name: str,
    *,
    client: ChatClient,
    tasks: Mapping[str, Task],
    readings: Readings,
    kind: type[Target],
) -> Target:
    """The Target of the model `name`, as the scenario wants it called."""
    return kind(
        bus,
        name=name,
        client=client,
        sampling=msgspec.structs.replace(
            _sampling(scenario, name),
            json_object=scenario.endpoint_of(name).json_object is not False,
            batch=scenario.endpoint_of(name).batch is not None,
        ),
        tasks=tasks,
        readings={task: reading for (task, other), reading in readings.items() if other == name},
    )


def _sampling(scenario: Scenario, name: str) -> Sampling:
    """Call settings of the model `name` for answering, or for judging."""
    model = scenario.models[name]
    return Sampling(model.model, model.temperature or 0.0, model.top_p, model.max_tokens)


def _requests_at_once(scenario: Scenario, model: str) -> int:
    """Requests handled at once; the endpoint's limits decide how many calls are sent at once, except in
    batches, which take all there are. More of them keep an endpoint busy while others wait for a retry."""
    endpoint = scenario.endpoint_of(model)
    if endpoint.batch is not None:
        return MOST_IN_BATCHES
    return endpoint.limits.concurrency * (1 if endpoint.host is not None else 2)
