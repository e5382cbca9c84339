"""A worker: hosts agents of a run on this machine, for as long as there are runs of its scenario."""

import signal
import socket
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import anyio
import msgspec
from anyio.abc import TaskGroup, TaskStatus

from ..runtime.bus.nats import Hello, NatsBus, NatsServer, Welcome, found
from ..runtime.concurrency import ungrouped
from ..runtime.errors import NoServer, ServerClosed
from ..runtime.evaluation.objective import Objective
from ..runtime.llm.chat import ChatClient
from ..runtime.llm.connection import connected
from ..runtime.llm.http._refusals import RateSheet
from ..runtime.messages import Enlist
from ..runtime.tasks.load import LoadedTask
from ..scenarios import Bus, Scenario
from ..scenarios.errors import InputError
from ._fingerprint import fingerprint
from ._switchboard import Sender, SwitchedClient
from .assembly import batches_at_once, target_agent
from .coordinator.plan import hosted
from .judge.rubrics import Judging
from .scorer import Readings, Scorer


class Hosts(msgspec.Struct, frozen=True):
    """Which agents a worker hosts."""

    targets: tuple[str, ...]
    scorer: bool = False

    @classmethod
    def of(cls, named: Sequence[str], scenario: Scenario) -> "Hosts":
        """From `target:NAME` and `scorer`. Raises InputError for anything else."""
        known = [f"target:{name}" for name in hosted(scenario)] + ["scorer"]
        for name in named:
            if name not in known:
                said = f"no agent of this scenario; known are {', '.join(known)}"
                raise InputError(f"--host {name!r}: {said}")
        targets = [name.removeprefix("target:") for name in dict.fromkeys(named) if name != "scorer"]
        if not named:
            raise InputError(f"--host: name what to host: {', '.join(known)}")
        return cls(tuple(targets), "scorer" in named)

    def __str__(self) -> str:
        return ", ".join([*(f"target:{name}" for name in self.targets), *(["scorer"] if self.scorer else [])])


class Worker:
    """Takes part in run after run of one scenario on one bus, and hosts its agents there.

    Their calls are made from this machine, with its keys, under the budget, ledger and limits of the run.
    Raises InputError when a key or model file is missing, or when a run holds another scenario or version.
    """

    def __init__(
        self,
        scenario: Scenario,
        loaded: Mapping[str, LoadedTask],
        *,
        settings: Bus,
        hosts: Hosts,
        say: Callable[[str], None],
    ) -> None:
        self._scenario = scenario
        self._tasks = {name: task.task for name, task in loaded.items()}
        self._parts = fingerprint(scenario, loaded)
        self._settings = settings
        self._server = NatsServer.of(settings)
        self._hosts = hosts
        self._say = say
        self._bus: NatsBus | None = None
        self._senders: dict[tuple[str, str], Sender] = {}

    async def run(self) -> None:
        """Work until SIGTERM, which lets what is in hand finish; a second one ends it at once."""
        async with ungrouped(), self._clients() as clients, anyio.create_task_group() as tasks:
            await tasks.start(self._heed_signals, tasks)
            while True:
                self._say(f"waiting for a run of {self._scenario.name!r} on {self._server.url}")
                hello = Hello(f"the worker on {socket.gethostname()}", self._parts)
                welcome = await found(self._server, self._scenario.name, hello)
                await self._take_part(welcome, clients)

    @asynccontextmanager
    async def _clients(self) -> AsyncGenerator[dict[str, ChatClient]]:
        """The endpoints of the hosted targets, open."""
        async with AsyncExitStack() as opened:
            clients: dict[str, ChatClient] = {}
            for name in sorted({endpoint for endpoint, _ in self._pairs()}):
                endpoint = self._scenario.endpoints[name]
                told = partial(self._told, name)
                connection = connected(name, endpoint, folder=self._scenario.folder, on_limits=told)
                clients[name] = (await opened.enter_async_context(connection)).client
            yield clients

    def _told(self, endpoint: str, model: str, limits: RateSheet) -> None:
        sender = self._senders.get((endpoint, model))
        if sender is not None:
            sender.told(limits)

    async def _take_part(self, welcome: Welcome, clients: Mapping[str, ChatClient]) -> None:
        """Host the agents until the run is over, or its coordinator is gone."""
        patience = self._settings.patience
        async with NatsBus(self._server, session=welcome.session, patience=patience) as bus:
            self._bus = bus
            try:
                async with ungrouped(), anyio.create_task_group() as tasks:
                    await self._host(bus, tasks, clients)
                    self._say(f"hosting {self._hosts} for the run on {welcome.bus}")
                    await bus.left(welcome.bus)
                    tasks.cancel_scope.cancel()
            except (NoServer, ServerClosed) as gone:
                self._say(f"the run is gone: {gone}")
            finally:
                self._bus = None

    async def _host(self, bus: NatsBus, tasks: TaskGroup, clients: Mapping[str, ChatClient]) -> None:
        """Start with what others need: calls, then targets, then the scorer."""
        scenario = self._scenario
        for endpoint, model in self._pairs():
            sender = Sender(bus, clients[endpoint], endpoint=endpoint, model=model)
            self._senders[endpoint, model] = sender
            await sender.start(tasks, workers=scenario.endpoints[endpoint].limits.concurrency)
        enlisted = await bus.ask(Enlist())
        readings: Readings = {(task, model): reading for task, model, reading in enlisted.readings}
        for name in self._hosts.targets:
            client = SwitchedClient(bus, name, "target")
            target = target_agent(bus, scenario, name, client=client, tasks=self._tasks, readings=readings)
            await target.start(tasks, workers=batches_at_once(scenario, name))
        if self._hosts.scorer:
            judging = Judging.of(scenario.scorer, Objective.of(scenario.scorer), folder=scenario.folder)
            scorer = Scorer(bus, tasks=self._tasks, readings=readings, judging=judging)
            for name in hosted(scenario):
                await scorer.start(tasks, model=name, workers=batches_at_once(scenario, name))

    async def _heed_signals(self, tasks: TaskGroup, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            task_status.started()
            async for _ in signals:
                if self._bus is None:
                    break
                self._say("SIGTERM: taking no more, finishing what is in hand")
                tasks.start_soon(self._drain, self._bus, tasks.cancel_scope)
                self._bus = None
        tasks.cancel_scope.cancel()

    async def _drain(self, bus: NatsBus, everything: anyio.CancelScope) -> None:
        await bus.drain()
        self._say("nothing is left in hand")
        everything.cancel()

    def _pairs(self) -> list[tuple[str, str]]:
        """The endpoints and the names they know the hosted targets by, each once."""
        models = (self._scenario.models[name] for name in self._hosts.targets)
        return sorted({(model.endpoint, model.model) for model in models})
