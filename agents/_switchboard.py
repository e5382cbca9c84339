"""Model calls of agents on workers: through the run's one stack, and out again to whoever hosts the model.

    Target (worker) -- Call --> Switchboard: budget ( ledger ( retries ( limits ( -- Send --> Sender (worker)

So budget, ledger and limits stay in one place, the coordinator's process, however many workers there are: a
batch that another worker takes over replays what is finished, and all workers of a model share its rate.
"""

from functools import partial

from anyio.abc import TaskGroup

from ..runtime.bus import Bus
from ..runtime.errors import NoServer, ServerClosed, Unreachable
from ..runtime.llm.budget.usage import AgentRole
from ..runtime.llm.chat import ChatClient, ChatRequest, ChatResponse
from ..runtime.llm.http._refusals import OnLimits, RateSheet
from ..runtime.llm.stack import Models
from ..runtime.messages import Call, Send, Sent

CALLS = 4096
"""Calls of workers that may be in line at once; what is sent at once is for the limits to say."""


class Switchboard:
    """Answers `Call` with the whole stack of the model, as if the asker were in this process."""

    def __init__(self, bus: Bus, models: Models) -> None:
        self._bus = bus
        self._models = models

    async def start(self, tasks: TaskGroup) -> None:
        await tasks.start(partial(self._bus.serve, Call, self.call, workers=CALLS))

    async def call(self, request: Call) -> ChatResponse:
        return await self._models.client(request.model, request.role).chat(request.request)


class Sender:
    """Answers `Send` for one model of one endpoint: makes the HTTP call from here."""

    def __init__(self, bus: Bus, client: ChatClient, *, endpoint: str, model: str) -> None:
        self._bus = bus
        self._client = client
        self._key = f"{endpoint}/{model}"
        self._limits: RateSheet | None = None

    async def start(self, tasks: TaskGroup, *, workers: int) -> None:
        await tasks.start(partial(self._bus.serve, Send, self.send, key=self._key, workers=workers))

    def told(self, limits: RateSheet) -> None:
        """An answer's headers tell of limits."""
        self._limits = limits

    async def send(self, request: Send) -> Sent:
        response = await self._client.chat(request.request)
        limits, self._limits = self._limits, None
        return Sent(response, limits)


class SwitchedClient:
    """The model of an agent on a worker: asks the Switchboard of its run."""

    def __init__(self, bus: Bus, model: str, role: AgentRole) -> None:
        self._bus = bus
        self._model = model
        self._role: AgentRole = role

    async def chat(self, request: ChatRequest) -> ChatResponse:
        return await self._bus.ask(Call(model=self._model, role=self._role, request=request))


class RelayedClient:
    """The innermost client of a model that workers host: one of them makes the HTTP call.

    A worker that is lost meanwhile is a connection that is lost: Unreachable, so that the retries, and the
    budget with them, know of it.
    """

    def __init__(self, bus: Bus, endpoint: str, told: OnLimits | None = None) -> None:
        self._bus = bus
        self._endpoint = endpoint
        self._told = told

    async def chat(self, request: ChatRequest) -> ChatResponse:
        try:
            sent = await self._bus.ask(Send(endpoint=self._endpoint, request=request))
        except (NoServer, ServerClosed) as lost:
            raise Unreachable(f"no worker answered: {lost}") from lost
        if sent.limits is not None and self._told is not None:
            self._told(request.model, sent.limits)
        return sent.response
