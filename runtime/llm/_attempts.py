"""Which HTTP calls one model call has cost so far."""

from contextvars import ContextVar

from .chat import ChatClient, ChatRequest, ChatResponse


class Attempts:
    """HTTP calls started for one model call, counted where they start; and `earlier` ones, of invocations
    before this one, that gave no response."""

    __slots__ = ("earlier", "started")

    def __init__(self) -> None:
        self.started = 0
        self.earlier = 0


# The layers between the one that asks and the one that sends know nothing of the count: it travels with the
# task, as the call itself does.
CURRENT: ContextVar[Attempts | None] = ContextVar("transfer_prompting_attempts", default=None)


class CountingClient:
    """Counts each HTTP call at the moment it starts; the layer right around the client that sends."""

    def __init__(self, inner: ChatClient) -> None:
        self._inner = inner

    async def chat(self, request: ChatRequest) -> ChatResponse:
        attempts = CURRENT.get()
        if attempts is not None:
            attempts.started += 1
        return await self._inner.chat(request)
