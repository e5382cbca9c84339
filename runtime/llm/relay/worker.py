"""The worker's side of the relay: makes the calls of some models for all runs that ask."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress

import anyio
from anyio.abc import TaskGroup
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout
from nats.micro import add_service
from nats.micro.request import Request, ServiceError
from nats.micro.service import EndpointStats

from ....scenarios.endpoints import Bus
from ....scenarios.errors import InputError, nearest
from ....scenarios.scenario import Scenario
from ...concurrency import ungrouped
from ...errors import UNREADABLE, BusError
from ..chat import ChatClient, ChatRequest
from ..connection import check_endpoint, connected
from ..http._refusals import RateSheet
from ..workers import WorkerCalls, WorkerState
from ._connection import NatsConnection, NatsServer
from ._wire import (
    RUN,
    WORKER,
    WORKING,
    Failure,
    Metadata,
    Send,
    Sent,
    Served,
    announced,
    decode_send,
    discover,
    encode,
    relayed,
    too_large,
)

_PING = 1.0  # seconds for runs to answer a ping


class RelayWorker:
    """Makes the calls of models of a scenario, from this machine and with its keys, for every run that asks.

        worker = RelayWorker(scenario, ["small"], scenario.bus, say=print)
        await worker.run()

    `models` are entries of the scenario's `models`, by default those that its runs relay. A call is one HTTP
    call; of each model there are as many at once as `limits.concurrency` of its endpoint says, and others
    wait here. A call that its run gives up is cancelled within two heartbeats.

    Raises InputError for an unknown model, a missing key or model file.
    """

    def __init__(
        self,
        scenario: Scenario,
        models: Sequence[str],
        settings: Bus,
        *,
        say: Callable[[str], object],
    ) -> None:
        self._scenario = scenario
        for name in models:
            if name not in scenario.models:
                raise InputError(f"{name!r} is not an entry of models; {nearest(name, scenario.models)}")
        self._names = tuple(dict.fromkeys(models or relayed(scenario, settings)))
        for endpoint in {scenario.models[name].endpoint for name in self._names}:
            check_endpoint(endpoint, scenario.endpoints[endpoint], scenario.folder)
        self._server = NatsServer.of(settings)
        self._say = say
        self._woken = anyio.Event()
        self._services_now: list[_Service] = []
        self._incoming: NatsConnection | None = None

    def state(self) -> WorkerState:
        """A snapshot for metrics and health."""
        calls = tuple(
            WorkerCalls(str(one.served), one.in_hand, one.answered, one.failed) for one in self._services_now
        )
        if self._woken.is_set():
            return WorkerState("stopping", calls)
        if not calls or self._incoming is None:
            return WorkerState("starting", calls)
        return WorkerState("serving" if self._incoming.client.is_connected else "disconnected", calls)

    def stop(self) -> None:
        """Take no further call; `run` returns when those in flight have ended."""
        self._woken.set()

    async def run(self) -> None:
        """Serve calls until `stop`.

        Raises InputError when the nats-server refuses the credentials, or the runs that are there are of
        another version; BusError when there is no connection; EndpointError when a local model fails.
        """
        try:
            await self._run()
        except NatsError as error:
            raise BusError(f"{self._server.url}: {error}") from error

    async def _run(self) -> None:
        # Calls come in over a connection of their own, which can be drained while answers go out.
        incoming = NatsConnection(self._server, on_end=self._woken.set, say=self._say)
        outgoing = NatsConnection(self._server, on_end=self._woken.set)
        async with ungrouped(), AsyncExitStack() as opened:
            await opened.enter_async_context(outgoing)
            await opened.enter_async_context(incoming)
            await _refuse_other_versions(incoming.client)
            services = await self._services(opened, outgoing.client)
            async with anyio.create_task_group() as calls:
                for service in services:
                    await service.start(incoming.client, calls)
                await incoming.flush()
                self._services_now, self._incoming = services, incoming
                serving = "; ".join(str(service.served) for service in services)
                self._say(f"serving {serving} on {self._server.url}")
                await self._woken.wait()
                for connection in (incoming, outgoing):
                    if connection.failure is not None:
                        raise connection.failure
                self._say("stopping: no further call is taken, those in flight finish")
                await incoming.drain()
        self._say("stopped")

    async def _services(self, opened: AsyncExitStack, outgoing: Client) -> "list[_Service]":
        """A service for each model, their endpoints open."""
        scenario = self._scenario
        services: dict[Served, _Service] = {}
        for endpoint in sorted({scenario.models[name].endpoint for name in self._names}):
            settings = scenario.endpoints[endpoint]
            limits: dict[str, RateSheet] = {}
            connection = await opened.enter_async_context(
                connected(
                    endpoint,
                    settings,
                    folder=scenario.folder,
                    models=scenario.models.values(),
                    on_limits=limits.__setitem__,
                    on_notice=self._notice,
                )
            )
            for name in self._names:
                served = Served.of(scenario, name)
                if scenario.models[name].endpoint == endpoint and served not in services:
                    services[served] = _Service(
                        served, connection.client, limits, outgoing, at_once=settings.limits.concurrency
                    )
        return list(services.values())

    def _notice(self, model: str, sentence: str) -> None:
        self._say(f"{model}: {sentence}")


class _Service:
    """Makes the calls of one model. `limits` holds, by model, what headers stated since the last answer."""

    def __init__(
        self,
        served: Served,
        client: ChatClient,
        limits: dict[str, RateSheet],
        outgoing: Client,
        *,
        at_once: int,
    ) -> None:
        self.served = served
        self._client = client
        self._limits = limits
        self._outgoing = outgoing
        self._slots = anyio.Semaphore(at_once)
        self._tasks: TaskGroup | None = None
        self.in_hand = 0
        self.answered = 0
        self.failed = 0

    async def start(self, incoming: Client, tasks: TaskGroup) -> None:
        """Take calls from now on, and make them in `tasks`."""
        self._tasks = tasks
        service = await add_service(
            incoming,
            announced(WORKER, Metadata.own(self.served), str(self.served)),
            stats_handler=self._stats,
        )
        await service.add_endpoint(name="call", subject=self.served.subject, handler=self._take)

    async def _take(self, request: Request) -> None:
        # nats-py handles one request after the other; this one only starts.
        assert self._tasks is not None
        try:
            call = decode_send(request.data)
        except UNREADABLE as error:
            raise ServiceError("400", f"not a call of this protocol: {error}") from error
        self._tasks.start_soon(self._answer, call)

    async def _answer(self, call: Send) -> None:
        self.in_hand += 1
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._beat, call, tasks.cancel_scope)
                answer = await self._made(call.request)
                with suppress(NatsError):
                    await self._outgoing.publish(call.inbox, self._fitting(encode(answer)))
                tasks.cancel_scope.cancel()
        finally:
            self.in_hand -= 1

    async def _made(self, request: ChatRequest) -> Sent | Failure:
        try:
            async with self._slots:
                response = await self._client.chat(request)
        except Exception as error:  # noqa: BLE001 - every error of a call goes to its run
            self.failed += 1
            return Failure.of(error, self._limits.pop(request.model, None))
        self.answered += 1
        return Sent(response, self._limits.pop(request.model, None))

    def _fitting(self, answer: bytes) -> bytes:
        most = self._outgoing.max_payload
        if len(answer) <= most:
            return answer
        return encode(Failure("Rejected", too_large("response", len(answer), most)))

    async def _beat(self, call: Send, scope: anyio.CancelScope) -> None:
        """Send a sign of life every heartbeat; cancel the call when twice in a row nobody listened.

        Once is not enough: after a restart of the nats-server this process may be back before the run is.
        """
        unheard = 0
        await anyio.sleep(call.heartbeat)
        while unheard < 2:
            try:
                # The run never replies to it: the timeout is the pause until the next one.
                await self._outgoing.request(call.inbox, WORKING, timeout=call.heartbeat)
            except NatsTimeout:
                unheard = 0
            except NatsError as error:
                unheard += isinstance(error, NoRespondersError)
                await anyio.sleep(call.heartbeat)
        scope.cancel()

    def _stats(self, endpoint: EndpointStats) -> dict[str, int]:
        """Data of the service's statistics: the framework counts a call as done when it has only begun."""
        del endpoint
        return {"in_hand": self.in_hand, "answered": self.answered, "failed": self.failed}


async def _refuse_other_versions(client: Client) -> None:
    """Raises InputError when runs are there, and all of them of another version."""
    runs = await discover(
        client, RUN, seconds=_PING, enough=lambda found: any(run.compatible for run in found)
    )
    if runs and not any(run.compatible for run in runs):
        raise runs[0].mismatch("run")
