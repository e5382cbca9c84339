"""The stack of each model of a scenario: budget, ledger, hedging, retries, limits, client."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from anyio import create_task_group
from anyio.abc import TaskGroup

from ...scenarios.endpoints import BatchSettings, Endpoint, Model, Price
from ...scenarios.errors import InputError
from ...scenarios.scenario import Scenario
from ..concurrency import ungrouped
from ._call import Gate, Layer, Sender
from .batch._record import BatchRecord
from .budget.budget import Amounts, Budget, BudgetedClient, Cap, Remaining, ReplyLengths, cost
from .budget.usage import AgentRole, Meter, UsageReport, Used
from .chat import ChatClient, Usage
from .connection import Client, Connection, check_endpoint, connected
from .hedging import HedgingClient
from .http._dialect import OnNotice
from .http._refusals import OnLimits
from .ledger._rows import endpoint_identity
from .ledger.ledger import open_ledger
from .ledger.records import CallLedger
from .ledger.replay import LedgeredClient
from .limits.limiter import LimitedClient, LimitsNow
from .limits.shared import Endpoints
from .retries import Retrying, RetryingClient

if TYPE_CHECKING:
    from .batch.layer import BatchLayer

_FREE = Price()

DAYS = 7 * 86_400.0
"""Seconds within which a call that a batch left unanswered goes into another."""


def count_earlier(scenario: Scenario, ledger: CallLedger, budget: Budget) -> None:
    """Count in the budget what earlier invocations paid for, at the scenario's prices of today.

    Where two entries of `models` are one model of one endpoint, the dearer price counts.
    """
    before = ledger.earlier
    prices: dict[tuple[str, str], list[Price]] = {}
    for spec in scenario.models.values():
        identity = endpoint_identity(scenario.endpoints[spec.endpoint])
        prices.setdefault((identity, spec.model), []).append(spec.price)
    paid = Amounts(calls=before.failed_attempts)
    for row in before.paid:
        usage = Usage(row.prompt_tokens, row.completion_tokens)
        known = prices.get((row.endpoint, row.model), [_FREE])
        usd = max(cost(price, usage, batched=row.batched) for price in known)
        paid.add(Amounts(row.attempts, row.prompt_tokens + row.completion_tokens, usd))
    budget.resume(paid=paid, seconds=before.seconds)


Relays = Mapping[tuple[str, str], Callable[[OnLimits], ChatClient]]
"""Makers of the clients that make the HTTP calls of a model in place of its endpoint's, by endpoint and model
name. They get the function that takes the limits in headers."""

Wrap = Callable[[ChatClient, str, Endpoint], ChatClient]
"""Wraps a client, given the name and the settings of its endpoint; telemetry does."""


class ModelNow(msgspec.Struct, frozen=True):
    """One model at one moment: its usage so far, its limits (shared with any other entry of `models` that
    names the same model of the same endpoint), why its calls are being tried again, if they are, why one was
    last, and how many wait for a batch."""

    used: Used
    limits: LimitsNow
    retrying: Retrying | None = None
    last_retry: str | None = None
    in_batches: int = 0


class SpendingNow(msgspec.Struct, frozen=True):
    """A run at one moment, for displays: the models used so far by their names in the scenario, and every
    cap of the budget with what is spent and left."""

    models: dict[str, ModelNow]
    budget: dict[Cap, Remaining]


class Models:
    """The scenario's models, ready for calls; see `open_models`."""

    def __init__(
        self,
        scenario: Scenario,
        connections: Mapping[str, Connection],
        *,
        ledger: CallLedger,
        shared: CallLedger | None,
        budget: Budget,
        relays: Relays,
        tasks: TaskGroup,
        wrap: Wrap | None = None,
        batches: BatchRecord | None = None,
    ) -> None:
        self._scenario = scenario
        self._batches = batches or BatchRecord(None)
        self._tasks = tasks
        self._batching: dict[tuple[str, str], BatchLayer] = {}
        self._relays = relays
        self._wrap = wrap
        self._connections = connections
        self._ledger = ledger
        self._shared = shared
        self._budget = budget
        self._meter = Meter()
        self._gate = Gate()
        self._stacks: dict[tuple[str, str], LedgeredClient] = {}
        self._retrying: dict[tuple[str, str], RetryingClient] = {}
        self._lengths: dict[tuple[str, str], ReplyLengths] = {}

    def spec(self, name: str) -> Model:
        """The scenario's entry; its `model` is what requests must carry."""
        return self._scenario.models[name]

    def client(self, name: str, role: AgentRole) -> ChatClient:
        """The whole stack of the model `name`, its usage counted for `role`.

        All callers of one model of one endpoint share its limiter, retries and calls in flight, regardless
        of role. Only models that the scenario uses are open; another raises InputError.
        """
        spec = self._scenario.models.get(name)
        if spec is None or spec.endpoint not in self._connections:
            raise InputError(f"model {name!r} is not one that this scenario uses")
        tally = self._meter.tally(name, role)
        stack = self._stack(spec)
        lengths = self._lengths.setdefault((spec.endpoint, spec.model), ReplyLengths())
        return BudgetedClient(
            stack, self._budget, spec.price, tally, extra_body=extra_body(spec), lengths=lengths
        )

    def usage(self) -> UsageReport:
        """Usage of this invocation so far."""
        return self._meter.report()

    def snapshots(self) -> dict[str, ModelNow]:
        """Every model that was used so far, for progress displays."""
        return {
            name: ModelNow(
                used,
                self._connections[spec.endpoint].limiters.of(spec.model).now(),
                retries.retrying(),
                retries.last_reason,
                batching.waiting if (batching := self._batching.get((spec.endpoint, spec.model))) else 0,
            )
            for name, used in self._meter.report().by_model.items()
            for spec in [self._scenario.models[name]]
            for retries in [self._retrying[spec.endpoint, spec.model]]
        }

    def now(self) -> SpendingNow:
        """Spending and limits at this moment."""
        return SpendingNow(self.snapshots(), self._budget.remaining())

    async def drain(self) -> None:
        """Send nothing more, and return when no HTTP call is in flight. Calls that would be sent wait until
        they are cancelled."""
        await self._gate.close()

    def _stack(self, spec: Model) -> LedgeredClient:
        key = (spec.endpoint, spec.model)
        if key not in self._stacks:
            self._stacks[key] = self._assembled(spec)
        return self._stacks[key]

    def _assembled(self, spec: Model) -> LedgeredClient:
        connection = self._connections[spec.endpoint]
        relay = self._relays.get((spec.endpoint, spec.model))
        client = connection.client if relay is None else relay(connection.limiters.stated)
        if self._wrap is not None:
            client = self._wrap(client, spec.endpoint, connection.endpoint)
        limiter = connection.limiters.of(spec.model)
        limited = LimitedClient(Sender(client, self._gate), limiter, self._budget)
        retrying: Layer = RetryingClient(
            limited,
            connection.endpoint.retry,
            breaker=connection.breaker,
            admit=self._budget.admit_another,
            deadline=self._budget,
        )
        self._retrying[spec.endpoint, spec.model] = retrying
        hedge = connection.endpoint.hedge
        if not self._scenario.deterministic and (
            hedge or (hedge is None and connection.remote and relay is None)
        ):
            retrying = HedgingClient(
                retrying, limited, limiter, admit=self._budget.admit_another, tasks=self._tasks
            )
        if (settings := connection.endpoint.batch) is not None and connection.remote:
            retrying = self._with_batches(retrying, spec, connection, settings)
        return LedgeredClient(
            retrying,
            self._ledger,
            endpoint_identity(connection.endpoint),
            self._shared,
            admit=self._budget.admit,
        )

    def _with_batches(
        self, direct: Layer, spec: Model, connection: Connection, settings: BatchSettings
    ) -> Layer:
        """The layers that make calls directly or in batches; one that its batch left unanswered goes into
        another."""
        from .batch.layer import BatchLayer, DirectOrBatch
        from .http.aiohttp_client import AiohttpClient
        from .http.batch_api import BatchApi

        assert isinstance(connection.client, AiohttpClient), "the schema asks for it"
        layer = self._batching[spec.endpoint, spec.model] = BatchLayer(
            BatchApi(connection.client, window=settings.window),
            settings,
            endpoint=endpoint_identity(connection.endpoint),
            record=self._batches,
            tasks=self._tasks,
            gate=self._gate,
            deadline=self._budget,
        )
        policy = connection.endpoint.retry.model_copy(update={"seconds": DAYS})
        return DirectOrBatch(direct, RetryingClient(layer, policy, admit=self._budget.admit_another))


@asynccontextmanager
async def open_models(
    scenario: Scenario,
    *,
    ledger: CallLedger,
    budget: Budget,
    clients: Mapping[str, Client] | None = None,
    served: Collection[str] = (),
    relays: Relays | None = None,
    wrap: Wrap | None = None,
    on_notice: OnNotice | None = None,
    shared_limits: Endpoints | None = None,
    batches: Path | None = None,
) -> AsyncGenerator[Models]:
    """Open the endpoints of the models that the scenario uses, and its shared ledger if it has one.

    The spending of earlier invocations, as `ledger` knows it, is counted in `budget`. `clients` are the
    host's own chat clients by endpoint name, `relays` those of single models; they take the innermost place,
    and all else (limits, retries, ledger, budget) stays around them. `wrap` wraps every client, `on_notice`
    gets what is learned about the requests that a model accepts, `shared_limits` are those of several teams.
    `served` names targets that others serve.
    `batches` is the file that holds the batches of the run, None where they need not be found again.
    Raises InputError for a missing key, model file or a damaged ledger before anything is started, and
    EndpointError when a local model does not start.
    """
    given = dict(clients or {})
    endpoints = check_endpoints(scenario, given, served)
    count_earlier(scenario, ledger, budget)
    async with AsyncExitStack() as opened:
        shared = None
        if scenario.cache is not None:
            shared = await opened.enter_async_context(
                open_ledger(scenario.folder / scenario.cache, shared=True)
            )
        record = BatchRecord(batches)
        connections: dict[str, Connection] = {}
        for name in endpoints:
            connection = connected(
                name,
                scenario.endpoints[name],
                folder=scenario.folder,
                models=scenario.models.values(),
                client=given.get(name),
                on_notice=on_notice,
                shared=shared_limits,
            )
            connections[name] = await opened.enter_async_context(connection)
        # Last, so that its tasks have ended before the connections that they use are closed.
        tasks = await opened.enter_async_context(_background())
        yield Models(
            scenario,
            connections,
            ledger=ledger,
            shared=shared,
            budget=budget,
            relays=relays or {},
            wrap=wrap,
            batches=record,
            tasks=tasks,
        )


@asynccontextmanager
async def _background() -> AsyncGenerator[TaskGroup]:
    """A task group whose tasks end with the scope."""
    async with ungrouped(), create_task_group() as tasks:
        try:
            yield tasks
        finally:
            tasks.cancel_scope.cancel()


def extra_body(spec: Model) -> str:
    """The fields beyond the usual that every request of a model carries, as a JSON object; empty for none."""
    effort = {} if spec.reasoning_effort is None else {"reasoning_effort": spec.reasoning_effort}
    body = {**effort, **spec.extra_body}
    return msgspec.json.encode(body, order="deterministic").decode() if body else ""


def check_endpoints(scenario: Scenario, given: Collection[str], served: Collection[str] = ()) -> list[str]:
    """The names of the endpoints the scenario uses, sorted, after a check of what each needs to be opened.

    `given` names those for which the host brings a client, `served` targets that others serve. Raises
    InputError for a name in `given` that the scenario does not have, for a missing key, and for a missing
    model or engine. No call is made.
    """
    if unknown := sorted(set(given) - scenario.endpoints.keys()):
        raise InputError(
            f"clients: {', '.join(unknown)}: no such endpoint; the scenario has "
            f"{', '.join(sorted(scenario.endpoints))}"
        )
    endpoints = used_endpoints(scenario, served)
    for name in endpoints:
        if name not in given:
            check_endpoint(name, scenario.endpoints[name], scenario.folder)
        elif scenario.endpoints[name].batch is not None:
            raise InputError(
                f"endpoints.{name}.batch: its calls are made by a client of the application, or by workers; "
                "remove it"
            )
    return endpoints


def used_endpoints(scenario: Scenario, served: Collection[str] = ()) -> list[str]:
    """The endpoints of `used_models`, sorted."""
    return sorted({scenario.models[name].endpoint for name in used_models(scenario, served)})


def used_models(scenario: Scenario, served: Collection[str] = ()) -> list[str]:
    """The entries of `models` that have a role here, sorted; `served` are targets that others serve."""
    names = {scenario.reference.model, *(set(scenario.targets) - set(served))}
    if scenario.scorer.model is not None:
        names.add(scenario.scorer.model)
    return sorted(names)
