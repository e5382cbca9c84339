"""The run's side of the relay: calls that workers make, and the wait for workers."""

from collections.abc import Collection
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

import anyio
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout
from nats.micro import add_service
from nats.micro.request import ERROR_HEADER

from ....scenarios.endpoints import Bus
from ....scenarios.scenario import Scenario
from ...errors import UNREADABLE, BusError, EndpointError, Rejected, ServerFault, Unreachable
from ..chat import ChatClient, ChatRequest, ChatResponse
from ..http._refusals import OnLimits, plausible_limits
from ..stack import Relays, used_models
from ._connection import NatsConnection, NatsServer
from ._wire import (
    RUN,
    WORKER,
    WORKING,
    Metadata,
    Send,
    Sent,
    Served,
    Working,
    announced,
    decode_reply,
    discover,
    encode,
    no_responders,
    no_worker,
    relayed,
    too_large,
)

LOST_AFTER = 5
"""Heartbeats without a sign of life after which the worker of a call counts as lost."""

_ASK_AGAIN = 0.25  # seconds between looks for a worker where there is none
_PING = 1.0  # seconds for workers to answer a ping


class RelayClient:
    """The innermost client of a relayed model: one of the workers that serve the model makes each call.

    `on_limits` gets the limits in the headers of answers. Where no worker listens, or the nats-server is
    away, a call waits, `settings.patience` seconds from when that began. It is sent once: a call whose worker
    is lost fails.

    Raises what the worker's client raised; Unreachable when the worker gave no sign of life for
    `LOST_AFTER` heartbeats, or the connection broke; Rejected when the request or the response is larger than
    the nats-server's `max_payload`; EndpointError when there is no worker, with the command that starts one.
    """

    def __init__(
        self,
        connection: NatsConnection,
        settings: Bus,
        served: Served,
        *,
        name: str,
        on_limits: OnLimits | None = None,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._served = served
        self._subject = served.subject
        self._name = name
        self._on_limits = on_limits
        self._none_since: float | None = None

    async def chat(self, request: ChatRequest) -> ChatResponse:
        client = self._connection.client
        inbox = client.new_inbox()
        data = encode(Send(request, inbox, self._settings.heartbeat))
        if len(data) > client.max_payload:
            raise Rejected(too_large("request", len(data), client.max_payload), attempts=0)
        while True:
            message = await self._sent(inbox, data) if client.is_connected else None
            if message is not None:
                return self._response(request, message)
            await self._wait_for_worker()

    async def _sent(self, inbox: str, data: bytes) -> Msg | None:
        """The last message that answers the call; None when no worker listens."""
        client = self._connection.client
        try:
            # As long as the call is wanted, somebody listens here; from that the worker knows.
            subscription = await client.subscribe(inbox)
            try:
                await client.publish(self._subject, data, reply=inbox)
                return await self._answer(subscription)
            finally:
                with anyio.CancelScope(shield=True), suppress(NatsError):
                    await subscription.unsubscribe()
        except NatsError as error:
            raise Unreachable(f"{self._connection.url}: the connection broke: {error}") from error

    async def _answer(self, subscription: Subscription) -> Msg | None:
        silence = LOST_AFTER * self._settings.heartbeat
        while True:
            try:
                message = await subscription.next_msg(timeout=silence)
            except NatsTimeout:
                if await self._behind(subscription):
                    continue
                raise Unreachable(f"the worker was lost: it gave no sign of life for {silence:g} s") from None
            if no_responders(message):
                return None
            self._none_since = None
            if message.data != WORKING:
                return message

    async def _behind(self, subscription: Subscription) -> bool:
        """True when this process was busy: messages that came meanwhile have yet to be read."""
        if self._connection.client.is_connected:
            await self._connection.client.flush(timeout=2)
        return subscription.pending_msgs > 0

    def _response(self, request: ChatRequest, message: Msg) -> ChatResponse:
        if refused := (message.headers or {}).get(ERROR_HEADER):
            raise EndpointError(f"a worker for {self._served} refused the call: {refused}")
        try:
            reply = decode_reply(message.data)
        except UNREADABLE as error:
            raise ServerFault(f"a worker sent an unreadable answer: {error}") from error
        if isinstance(reply, Working):
            raise ServerFault("a worker sent no answer")
        if reply.limits is not None and self._on_limits is not None:
            self._on_limits(request.model, plausible_limits(reply.limits))
        if isinstance(reply, Sent):
            return reply.response
        raise reply.error()

    async def _wait_for_worker(self) -> None:
        if (failure := self._connection.failure) is not None:
            raise EndpointError(str(failure)) from failure
        now = anyio.current_time()
        if self._none_since is None:
            self._none_since = now
        if now - self._none_since >= self._settings.patience:
            raise EndpointError(no_worker(self._served, self._name, self._settings))
        await anyio.sleep(_ASK_AGAIN)


class Relay:
    """The relayed models of one run; enter it before the first call.

    These are the models that `bus.models` names, by default the targets; not those that the application
    answers for: `given` names endpoints it brings clients for, `answered` targets it serves or has functions
    for.

    Entering raises what entering a `NatsConnection` raises.
    """

    def __init__(
        self,
        scenario: Scenario,
        settings: Bus,
        *,
        given: Collection[str] = (),
        answered: Collection[str] = (),
    ) -> None:
        used = used_models(scenario, answered)
        self._settings = settings
        self._connection = NatsConnection(NatsServer.of(settings))
        self._name = scenario.name
        self._served = {
            name: Served.of(scenario, name)
            for name in relayed(scenario, settings)
            if name in used
            and scenario.models[name].endpoint not in given
            and scenario.endpoint_of(name).host is None  # nothing but the application can answer there
        }
        pairs = {(scenario.models[name].endpoint, scenario.models[name].model): name for name in self._served}
        self.relays: Relays = {pair: partial(self._client, name) for pair, name in sorted(pairs.items())}
        """Makers of the clients of relayed models, by endpoint and model name."""
        from_here = {
            scenario.models[name].endpoint
            for name in used
            if (scenario.models[name].endpoint, scenario.models[name].model) not in pairs
        }
        self.clients: dict[str, ChatClient] = {
            endpoint: self._client(name) for (endpoint, _), name in pairs.items() if endpoint not in from_here
        }
        """Clients of endpoints that this process does not call itself, so that it needs no key for them."""

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        try:
            # So that a worker that starts now can check whether it understands this run.
            await add_service(
                self._connection.client, announced(RUN, Metadata.own(), f"the run {self._name}")
            )
        except NatsError as error:
            await self._connection.__aexit__(None, None, None)
            raise BusError(f"{self._connection.url}: {error}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    async def missing(self) -> dict[str, str]:
        """Wait for a worker of each relayed model; returns the models without one, with the reason.

        It waits `patience` seconds at most. Raises InputError when all workers of a model are of another
        version.
        """
        client = self._connection.client
        patience = self._settings.patience
        end = anyio.current_time() + patience
        while True:
            there: list[Metadata] = []
            with suppress(NatsError):
                there = await discover(client, WORKER, seconds=min(_PING, patience), enough=self._complete)
            self._refuse_other_versions(there)
            if self._complete(there) or anyio.current_time() >= end:
                break
            await anyio.sleep(_ASK_AGAIN)
        found = {worker.served for worker in there}
        return {
            name: no_worker(served, name, self._settings, found)
            for name, served in self._served.items()
            if served not in found
        }

    def _complete(self, there: list[Metadata]) -> bool:
        return {*self._served.values()} <= {worker.served for worker in there if worker.compatible}

    def _refuse_other_versions(self, there: list[Metadata]) -> None:
        for served in self._served.values():
            workers = [worker for worker in there if worker.served == served]
            if workers and not any(worker.compatible for worker in workers):
                raise workers[0].mismatch("worker")

    def _client(self, name: str, on_limits: OnLimits | None = None) -> RelayClient:
        return RelayClient(
            self._connection, self._settings, self._served[name], name=name, on_limits=on_limits
        )
