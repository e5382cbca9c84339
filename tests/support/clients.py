"""Chat clients with a function inside, for tests of what stands above the network."""

from collections.abc import Callable

import msgspec

from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse
from transfer_prompting.runtime.llm.http._wire import encode

from support.world import World


class FunctionClient:
    """Answers every request with what a function makes of it; keeps the requests."""

    def __init__(self, function: Callable[[ChatRequest], str | ChatResponse]) -> None:
        self._function = function
        self.requests: list[ChatRequest] = []

    async def chat(self, request: ChatRequest) -> ChatResponse:
        self.requests.append(request)
        reply = self._function(request)
        return reply if isinstance(reply, ChatResponse) else ChatResponse(text=reply)


def world_client(world: World) -> FunctionClient:
    """The simulated world without a server."""
    return FunctionClient(lambda request: world(msgspec.json.decode(encode(request))))
