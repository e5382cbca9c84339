"""One model call on its way through the layers, and the innermost layer, which sends it."""

from collections.abc import Callable

import anyio
from msgspec.structs import replace

from ..errors import CallFailed
from .chat import ChatClient, ChatRequest, ChatResponse


class Reservation:
    """The most one HTTP call of a model call can cost, times `calls`: one, and one more for each retry.

    `paid` is True once it is reserved among the calls that are sent, not only on the run's path.
    """

    __slots__ = ("calls", "paid", "tokens", "usd")

    def __init__(self, tokens: int, usd: float) -> None:
        self.tokens = tokens
        self.usd = usd
        self.calls = 1
        self.paid = False


class Call:
    """One model call: its request, what the budget reserved for it, and the HTTP calls it has cost.

    `attempts` counts HTTP calls from the moment they start; `earlier_attempts` those of earlier invocations
    that gave no response. `sent_at` is when the HTTP call in flight started, on the event loop's clock, None
    while there is none; `seconds` is how long the one that succeeded took.
    """

    __slots__ = ("attempts", "earlier_attempts", "request", "reservation", "seconds", "sent_at")

    def __init__(self, request: ChatRequest, reservation: Reservation | None = None) -> None:
        self.request = request
        self.reservation = reservation
        self.attempts = 0
        self.earlier_attempts = 0
        self.sent_at: float | None = None
        self.seconds: float | None = None


def counted(call: Call, response: ChatResponse) -> ChatResponse:
    """The response with the number of HTTP calls of the whole model call."""
    return response if response.attempts == call.attempts else replace(response, attempts=call.attempts)


class Layer:
    """One layer of the stack of a model: does its part of a call and passes the call to the layer below."""

    async def send(self, call: Call) -> ChatResponse:
        """The response to a call; raises what `ChatClient.chat` raises."""
        raise NotImplementedError

    async def chat(self, request: ChatRequest) -> ChatResponse:
        """The response to a request that passed no layer before this one."""
        return await self.send(Call(request))


Admit = Callable[[Call], None]
"""Asked before one more HTTP call of a model call; what it raises goes to the caller."""


class Gate:
    """Counts HTTP calls in flight; once it is closed, no other starts."""

    def __init__(self) -> None:
        self.closed = False
        self.in_flight = 0
        self._empty = anyio.Event()

    async def close(self) -> None:
        """Let no other call start, and return when none is in flight."""
        self.closed = True
        while self.in_flight:
            self._empty = anyio.Event()
            await self._empty.wait()

    def leave(self) -> None:
        """A call in flight has ended."""
        self.in_flight -= 1
        if not self.in_flight:
            self._empty.set()


class Sender(Layer):
    """The innermost layer: makes one HTTP call through a chat client, and counts it when it starts.

    Once the gate is closed a call waits until it is cancelled: it is no failure, the next invocation of the
    run begins with it.
    """

    def __init__(self, client: ChatClient, gate: Gate | None = None) -> None:
        self._client = client
        self._gate = gate or Gate()

    async def send(self, call: Call) -> ChatResponse:
        gate = self._gate
        if gate.closed:
            await anyio.sleep_forever()
        gate.in_flight += 1
        call.attempts += 1
        call.sent_at = start = anyio.current_time()
        try:
            response = await self._client.chat(call.request)
        except CallFailed as error:
            call.attempts += error.attempts - 1
            raise
        finally:
            call.sent_at = None
            gate.leave()
        call.seconds = anyio.current_time() - start
        call.attempts += response.attempts - 1
        return response
