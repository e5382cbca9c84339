"""Assembly of a team: its checks, its agents and all they stand on."""

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup

from ..runtime.bus import Bus
from ..runtime.concurrency import current_task, ungrouped
from ..runtime.errors import EndpointError, WriteFailed
from ..runtime.evaluation.objective import Objective
from ..runtime.evaluation.own_metrics import OwnMetric
from ..runtime.llm.budget.budget import Budget
from ..runtime.llm.budget.usage import AgentRole
from ..runtime.llm.chat import ChatClient
from ..runtime.llm.ledger.ledger import open_ledger
from ..runtime.llm.limits.shared import Endpoints
from ..runtime.llm.probes import probe_json_object, probe_logprobs, refused, unreachable
from ..runtime.llm.stack import Models, check_endpoints, open_models, used_endpoints
from ..runtime.messages import JudgeResponses, Score
from ..runtime.record.files import make_folder
from ..runtime.record.history import Record, open_history, refuse_another_run, save
from ..runtime.record.responses import open_responses
from ..runtime.record.results import Results, write
from ..runtime.tasks.load import LoadedTask
from ..runtime.tasks.task import Task
from ..runtime.telemetry import Telemetry
from ..scenarios import Scenario
from ..scenarios.scenario import variants
from .coordinator.agent import Coordinator
from .coordinator.estimate import Estimate, estimate, row_characters
from .coordinator.evaluator import Evaluator
from .coordinator.plan import CallCounts, check_budget, hosted, target_plans
from .events import Following, log_events, open_log
from .judge.agent import Judge
from .judge.rubrics import Judging
from .loading import foreseen, load_tasks, probed, resolve
from .parts import Parts
from .reference.agent import Reference, Writing
from .reference.operators import known
from .reference.strategies import Strategy, strategy_of
from .scorer import Readings, Scorer
from .target import ApplicationTarget, Sampling, Target

if TYPE_CHECKING:
    from ..runtime.llm.relay import Relay

DEFAULT_OPERATORS = ("improve", "exemplify")

MOST_IN_BATCHES = 1_000_000
"""Requests handled at once for a model whose final test goes in batches."""


class Checked(msgspec.Struct, frozen=True):
    """A scenario found valid: its tasks with their rows, how each is read before any call, what is judged."""

    loaded: dict[str, LoadedTask]
    readings: Readings
    judging: Judging
    objective: Objective

    @property
    def tasks(self) -> dict[str, Task]:
        return {name: loaded.task for name, loaded in self.loaded.items()}


def check(
    scenario: Scenario,
    strategy: Strategy,
    parts: Parts,
    metrics: Mapping[str, OwnMetric],
    loaded: Mapping[str, LoadedTask] | None = None,
) -> Checked:
    """Check everything that can be wrong before a call is made: data, objective, judge, metrics of one's own,
    operators, keys, model files, readings, variants, and a budget that is too small. Raises InputError.

    `loaded` are the tasks where they are loaded already.
    """
    variants(scenario, scenario.folder)
    objective = Objective.of(scenario.scorer)
    judging = Judging.of(
        scenario.scorer, objective, metrics, folder=scenario.folder, allow_code=scenario.allow_code
    )
    _writing(scenario)
    parts.check(scenario)
    check_endpoints(scenario, parts.clients_for(scenario), parts.served)
    loaded = load_tasks(scenario) if loaded is None else dict(loaded)
    tasks = {name: task.task for name, task in loaded.items()}
    judging.check(tasks)
    parts.check_texts(scenario, tasks)
    readings = foreseen(scenario, tasks, hosted(scenario), parts.targets)
    plans = target_plans(scenario, strategy)
    check_budget(scenario, strategy, CallCounts(loaded, readings, judging), plans)
    return Checked(loaded, readings, judging, objective)


def check_scenario(scenario: Scenario) -> Checked:
    """`check` for a scenario as the command line runs it, with nothing brought by an application."""
    relay = relay_of(scenario, (), ())
    parts = Parts({} if relay is None else relay.clients, {}, frozenset())
    return check(scenario, strategy_of(scenario), parts, {})


def estimate_scenario(scenario: Scenario) -> Estimate:
    """Estimate what the budget of a scenario buys; no call is made. Raises InputError as `check` does."""
    return estimated(scenario, strategy_of(scenario), check_scenario(scenario))


def estimated(scenario: Scenario, strategy: Strategy, checked: Checked) -> Estimate:
    """Estimate what the budget of a valid scenario buys; no call is made."""
    return estimate(scenario, strategy, checked.loaded, checked.readings, checked.judging)


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
            make_folder(out)
            refuse_another_run(scenario, out)
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
                    lost |= await _refused_targets(
                        scenario, self.parts, models, lost, judges=checked.judging.rates
                    )
                    able = await _logprobs(scenario, self.parts, models, lost)
                except anyio.get_cancelled_exc_class():
                    self._write_unbegun(models)
                    raise
                readings = resolve(scenario, checked.tasks, able, self.parts.targets)
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
        return await _lost_targets(scenario, ours, missing, judges=judging.rates)

    async def _start(self, tasks: TaskGroup, checked: Checked, readings: Readings, models: Models) -> None:
        scenario, bus = self.scenario, self.bus
        if checked.judging.rates:
            await self._start_judge(tasks, checked.judging, models)
        scorer = Scorer(bus, tasks=checked.tasks, readings=readings, judging=checked.judging)
        for name in hosted(scenario):
            workers = _requests_at_once(scenario, name)
            if Score not in self.parts.kinds:
                await scorer.start(tasks, model=name, workers=workers)
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
            writing=_writing(scenario, checked.tasks.values()),
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


async def _lost_targets(
    scenario: Scenario, endpoints: Iterable[str], missing: Mapping[str, str], *, judges: bool
) -> dict[str, str]:
    """The target models whose endpoint, one of these, accepts no connection, or that are `missing`, with the
    reason.

    EndpointError when it is the reference LLM (or, where it `judges`, the scorer LLM), or when no target is
    left.
    """
    reasons: dict[str, str] = {}
    for name in endpoints:
        url = scenario.endpoints[name].base_url
        reason = None if url is None else await unreachable(str(url))
        if reason is not None:
            reasons[name] = reason
    roles = {"reference LLM": scenario.reference.model}
    if scenario.scorer.model is not None and judges:
        roles["scorer LLM"] = scenario.scorer.model
    unusable = {
        name: f"endpoint {model.endpoint!r}: {reasons[model.endpoint]}"
        for name, model in scenario.models.items()
        if model.endpoint in reasons
    } | dict(missing)
    for role, model in roles.items():
        if model in unusable:
            raise EndpointError(f"{role}: {unusable[model]}")
    lost = {model: unusable[model] for model in hosted(scenario) if model in unusable}
    if len(lost) == len(hosted(scenario)):
        raise EndpointError("no target can be reached: " + "; ".join(sorted(set(lost.values()))))
    return lost


async def _refused_targets(
    scenario: Scenario, parts: Parts, models: Models, lost: Mapping[str, str], *, judges: bool
) -> dict[str, str]:
    """The target models that refuse the key of their endpoint, or are not known there, with its words.

    Each model of an endpoint with a key (also in headers or a query) is asked for one token before anything
    else is paid for.

    EndpointError where it is the reference LLM (or, where it `judges`, the scorer LLM), or every target.
    """
    writers: list[tuple[str, AgentRole]] = [(scenario.reference.model, "reference")]
    if judges and scenario.scorer.model is not None:
        writers.append((scenario.scorer.model, "scorer"))
    own = {*parts.targets, *parts.served, *lost}
    targets: list[tuple[str, AgentRole]] = [(name, "target") for name in hosted(scenario) if name not in own]
    given = parts.clients_for(scenario)
    found: dict[str, str] = {}
    for name, role in writers + targets:
        model = scenario.models[name]
        if not scenario.endpoints[model.endpoint].authenticated or model.endpoint in given:
            continue
        reason = await refused(models.client(name, role), model.model)
        if reason is not None and role != "target":
            raise EndpointError(f"{role} LLM {name}: {reason}")
        if reason is not None:
            found[name] = reason
    if found and len(found) + len(lost) == len(hosted(scenario)):
        raise EndpointError("no target can be used: " + "; ".join(sorted({*found.values(), *lost.values()})))
    return found


async def _logprobs(
    scenario: Scenario, parts: Parts, models: Models, lost: Mapping[str, str]
) -> dict[str, bool]:
    """True for each target model that returns log-probabilities: as the scenario says, else tried once.
    Functions of the application have none; models that are lost are taken to have them."""
    return {name: name in lost or await _able(scenario, parts, name, models) for name in hosted(scenario)}


async def _able(scenario: Scenario, parts: Parts, model: str, models: Models) -> bool:
    endpoint = scenario.endpoint_of(model)
    if model in parts.targets:
        return False
    if model in parts.served or not probed(scenario, model):
        return bool(endpoint.logprobs)
    name = scenario.models[model].model
    return await probe_logprobs(models.client(model, "target"), name, endpoint.top_logprobs)


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


def _writing(scenario: Scenario, tasks: Iterable[Task] = ()) -> Writing:
    """Call settings of the reference LLM. Raises InputError for an operator that does not exist."""
    settings = scenario.reference
    model = scenario.models[settings.model]
    endpoint = scenario.endpoints[model.endpoint]
    temperature = settings.temperature if model.temperature is None else model.temperature
    last = settings.final_temperature
    # A prompt with variables or turns of its own has its place already.
    placed = all(task.placed for task in tasks)
    positions = tuple(settings.positions) if placed else (scenario.stages.source.seed_position,)
    return Writing(
        model=model.model,
        temperature=temperature,
        final_temperature=temperature if last is None else last,
        max_tokens=model.max_tokens or settings.max_tokens,
        max_characters=settings.max_characters,
        operators=known(settings.operators or DEFAULT_OPERATORS),
        population=settings.population,
        positions=positions,
        seed=scenario.seed,
        seeded=endpoint.local is not None if endpoint.seeded is None else endpoint.seeded,
    )


def _requests_at_once(scenario: Scenario, model: str) -> int:
    """Requests handled at once; the endpoint's limits decide how many calls are sent at once, except in
    batches, which take all there are."""
    endpoint = scenario.endpoint_of(model)
    return 2 * endpoint.limits.concurrency if endpoint.batch is None else MOST_IN_BATCHES


def relay_of(scenario: Scenario, given: Collection[str], answered: Collection[str]) -> "Relay | None":
    """The relay of a scenario with a bus; None where no model is relayed. The application brings clients for
    the endpoints `given`, and answers for the targets `answered` itself.

    Raises InputError where the extra is missing, or a variable that `bus` names is not set.
    """
    if scenario.bus is None:
        return None
    from ..runtime.llm.relay import Relay

    relay = Relay(scenario, scenario.bus, given=given, answered=answered)
    return relay if relay.relays else None
