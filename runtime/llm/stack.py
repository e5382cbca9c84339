"""The gate before an endpoint: when a run stops, what is in flight finishes and nothing else starts."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import msgspec

from ...scenarios.endpoints import Model, Price
from ...scenarios.errors import InputError
from ...scenarios.scenario import Scenario
from ..telemetry import Telemetry
from ._attempts import CountingClient
from .budget.accounts import Amounts, Cap
from .budget.budget import Budget, Remaining
from .budget.budgeted_client import BudgetedClient, cost
from .budget.usage import AgentRole, Meter, UsageReport, Used
from .chat import ChatClient, ChatRequest, ChatResponse, Usage
from .connection import Client, Connection, check_endpoint, connected
from .http.aiohttp_client import OnLimits
from .ledger._rows import endpoint_identity
from .ledger.ledger import open_ledger
from .ledger.records import CallLedger
from .ledger.replay import LedgeredClient
from .limits.limiter import LimitedClient, LimitsNow
from .probes import probe_logprobs
from .retries import RetryingClient


class Gate:
    """Counts HTTP calls in flight; once it is closed, no other starts."""

    def __init__(self) -> None:
        self.closed = False
        self.in_flight = 0
        self._quiet = anyio.Event()

    async def close(self) -> None:
        """Let no other call start, and return when none is in flight."""
        self.closed = True
        while self.in_flight:
            self._quiet = anyio.Event()
            await self._quiet.wait()

    def leave(self) -> None:
        """A call in flight has ended."""
        self.in_flight -= 1
        if not self.in_flight:
            self._quiet.set()


class GatedClient:
    """Makes a call while the gate is open. A call that comes later waits until it is cancelled: it is no
    failure, it is what the next invocation of the run begins with."""

    def __init__(self, inner: ChatClient, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate

    async def chat(self, request: ChatRequest) -> ChatResponse:
        if self._gate.closed:
            await anyio.sleep_forever()
        self._gate.in_flight += 1
        try:
            return await self._inner.chat(request)
        finally:
            self._gate.leave()


_FREE = Price()


def count_earlier(scenario: Scenario, ledger: CallLedger, budget: Budget) -> None:
    """Tell the budget what earlier invocations paid for, at the scenario's prices of today.

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
        usd = max(cost(price, usage) for price in prices.get((row.endpoint, row.model), [_FREE]))
        paid.add(Amounts(row.attempts, row.prompt_tokens + row.completion_tokens, usd))
    budget.resume(paid=paid, seconds=before.seconds)


Relays = Mapping[tuple[str, str], Callable[[OnLimits], ChatClient]]
"""Who makes the HTTP calls of a model in the place of its endpoint's client, by endpoint and model name.

It is made with whom to tell of limits in headers."""

__all__ = ["ModelNow", "Models", "Relays", "SpendingNow", "open_models", "probe_logprobs"]


class ModelNow(msgspec.Struct, frozen=True):
    """One model at one moment: what it was used for so far, and its limits (shared with any other entry of
    `models` that names the same model of the same endpoint)."""

    used: Used
    limits: LimitsNow


class SpendingNow(msgspec.Struct, frozen=True):
    """A run at one moment, for displays: the models used so far by their names in the scenario, and every
    cap of the budget with what is spent and left."""

    models: dict[str, ModelNow]
    budget: dict[Cap, Remaining]


class Models:
    """The scenario's models, ready to be asked; see `open_models`."""

    def __init__(
        self,
        scenario: Scenario,
        connections: Mapping[str, Connection],
        *,
        ledger: CallLedger,
        shared: CallLedger | None,
        budget: Budget,
        relays: Relays,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._scenario = scenario
        self._relays = relays
        self._telemetry = telemetry
        self._connections = connections
        self._ledger = ledger
        self._shared = shared
        self._budget = budget
        self._meter = Meter()
        self._gate = Gate()
        self._stacks: dict[tuple[str, str], LedgeredClient] = {}

    def spec(self, name: str) -> Model:
        """The scenario's entry; its `model` is what requests must carry."""
        return self._scenario.models[name]

    def client(self, name: str, role: AgentRole) -> ChatClient:
        """The whole stack of the model `name`, its usage counted for `role`.

        Everything that asks one model of one endpoint shares its limiter, retries and calls in flight,
        whatever the role. Only models the scenario uses are open; another raises InputError.
        """
        spec = self._scenario.models.get(name)
        if spec is None or spec.endpoint not in self._connections:
            raise InputError(f"model {name!r} is not one that this scenario uses")
        tally = self._meter.tally(name, role)
        return BudgetedClient(self._stack(spec), self._budget, spec.price, tally)

    def usage(self) -> UsageReport:
        """What this invocation used so far."""
        return self._meter.report()

    def snapshots(self) -> dict[str, ModelNow]:
        """Every model that was used so far, for progress displays."""
        return {
            name: ModelNow(used, self._connections[spec.endpoint].limiters.of(spec.model).now())
            for name, used in self._meter.report().by_model.items()
            for spec in [self._scenario.models[name]]
        }

    def now(self) -> SpendingNow:
        """What is spent and what limits hold, at this moment."""
        return SpendingNow(self.snapshots(), self._budget.remaining())

    async def drain(self) -> None:
        """Send nothing more, and return when no HTTP call is in flight. What would be sent waits until it
        is cancelled."""
        await self._gate.close()

    def _stack(self, spec: Model) -> LedgeredClient:
        key = (spec.endpoint, spec.model)
        if key not in self._stacks:
            self._stacks[key] = self._assembled(spec)
        return self._stacks[key]

    def _assembled(self, spec: Model) -> LedgeredClient:
        connection = self._connections[spec.endpoint]
        relay = self._relays.get((spec.endpoint, spec.model))
        client = connection.client if relay is None else relay(connection.limiters.told)
        if self._telemetry is not None:
            client = self._telemetry.model(client, spec.endpoint, connection.endpoint)
        gated = GatedClient(CountingClient(client), self._gate)
        limited = LimitedClient(gated, connection.limiters.of(spec.model))
        retrying = RetryingClient(
            limited,
            connection.endpoint.retry,
            breaker=connection.breaker,
            on_retry=self._budget.admit_retry,
        )
        return LedgeredClient(
            retrying,
            self._ledger,
            endpoint_identity(connection.endpoint),
            self._shared,
            admit=self._budget.admit,
        )


@asynccontextmanager
async def open_models(
    scenario: Scenario,
    *,
    ledger: CallLedger,
    budget: Budget,
    clients: Mapping[str, Client] | None = None,
    served: Collection[str] = (),
    relays: Relays | None = None,
    telemetry: Telemetry | None = None,
) -> AsyncGenerator[Models]:
    """Open the endpoints of the models that the scenario uses, and its shared ledger if it has one.

    `budget` is told what earlier invocations spent, as `ledger` knows it. `clients` are the host's own chat
    clients by endpoint name, `relays` those of single models; they take the innermost place, and all else
    (limits, retries, ledger, budget) stays around them. `served` names targets that others serve. Raises
    InputError for a missing key, model file or a damaged ledger before anything is started, and EndpointError
    when a local model does not start.
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
        connections: dict[str, Connection] = {}
        for name in endpoints:
            connection = connected(
                name, scenario.endpoints[name], folder=scenario.folder, client=given.get(name)
            )
            connections[name] = await opened.enter_async_context(connection)
        yield Models(
            scenario,
            connections,
            ledger=ledger,
            shared=shared,
            budget=budget,
            relays=relays or {},
            telemetry=telemetry,
        )


def check_endpoints(scenario: Scenario, given: Collection[str], served: Collection[str] = ()) -> list[str]:
    """The names of the endpoints the scenario uses, sorted, after a look at what each needs to be opened.

    `given` names those for which the host brings a client, `served` targets that others serve. Raises
    InputError for a name in `given` that the scenario does not have, for a missing key, and for a missing
    model or engine. No call is made.
    """
    if strangers := sorted(set(given) - scenario.endpoints.keys()):
        raise InputError(
            f"clients: {', '.join(strangers)}: no such endpoint; the scenario has "
            f"{', '.join(sorted(scenario.endpoints))}"
        )
    endpoints = used_endpoints(scenario, served)
    for name in endpoints:
        if name not in given:
            check_endpoint(name, scenario.endpoints[name], scenario.folder)
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
