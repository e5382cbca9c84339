"""One model call on its way through the layers, and the innermost layer, which sends it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, cast

import anyio
from msgspec.structs import replace

from ..concurrency import refuse_own_cancellation
from ..errors import CallFailed, EndpointError
from .chat import ChatClient, ChatRequest, ChatResponse, TokenChoice, Unanswered, Usage

T = TypeVar("T")


class Reservation:
    """Reserved for one model call: `calls` HTTP calls, and `shares` times the most that one of them can cost.

    `paid` is True once it is reserved among the calls that are sent, not only on the run's path.
    """

    __slots__ = ("calls", "paid", "shares", "tokens", "usd")

    def __init__(self, tokens: int, usd: float) -> None:
        self.tokens = tokens
        self.usd = usd
        self.calls = self.shares = 1
        self.paid = False


class Call:
    """One model call: its request, what the budget reserved for it, and the HTTP calls it has cost.

    `attempts` counts HTTP calls from the moment they start, `uncounted` those that may be billed though the
    endpoint gave no usage, at most `most` each. `earlier` is what attempts of earlier invocations without a
    response cost. `sent_at` is when the HTTP call in flight started, on the event loop's clock, None while
    there is none; `seconds` is how long the one that succeeded took.
    """

    __slots__ = ("attempts", "earlier", "most", "request", "reservation", "seconds", "sent_at", "uncounted")

    def __init__(
        self, request: ChatRequest, reservation: Reservation | None = None, most: Usage | None = None
    ) -> None:
        self.request = request
        self.reservation = reservation
        self.most = most or most_usage(request)
        self.attempts = 0
        self.uncounted = 0
        self.earlier = Unanswered()
        self.sent_at: float | None = None
        self.seconds: float | None = None

    def most_uncounted(self) -> Usage:
        """The most that the uncounted HTTP calls have used."""
        return Usage(self.uncounted * self.most.prompt_tokens, self.uncounted * self.most.completion_tokens)

    def twin(self) -> "Call":
        """The same call once more, under the same reservation."""
        return Call(self.request, self.reservation, self.most)

    def add(self, twin: "Call") -> None:
        """Count what the same call has cost a second time."""
        self.attempts += twin.attempts
        self.uncounted += twin.uncounted


# Generous bounds on what chat templates add: a preamble and the marks around each turn.
_TEMPLATE_TOKENS = 64
_TURN_TOKENS = 8


def most_prompt_tokens(request: ChatRequest) -> int:
    """A bound on the prompt's tokens: byte-level tokenizers make no more tokens than UTF-8 has bytes."""
    content = sum(
        len(message.content) if message.content.isascii() else len(message.content.encode(errors="replace"))
        for message in request.messages
    )
    return content + _TURN_TOKENS * len(request.messages) + _TEMPLATE_TOKENS


def most_usage(request: ChatRequest, completion_tokens: int = 0) -> Usage:
    """The most that one HTTP call can use, where replies of up to `completion_tokens` were seen."""
    return Usage(most_prompt_tokens(request), max(request.max_tokens, completion_tokens))


def counted(call: Call, response: ChatResponse) -> ChatResponse:
    """The response with the HTTP calls of the whole model call, and what those may have used."""
    uncounted = call.most_uncounted()
    if response.attempts == call.attempts and response.uncounted == uncounted:
        return response
    return replace(response, attempts=call.attempts, uncounted=uncounted)


class Layer(ABC):
    """One layer of the stack of a model: does its part of a call and passes the call to the layer below."""

    @abstractmethod
    async def send(self, call: Call) -> ChatResponse:
        """The response to a call; raises what `ChatClient.chat` raises."""

    async def chat(self, request: ChatRequest) -> ChatResponse:
        """The response to a request that passed no layer before this one."""
        return await self.send(Call(request))


Admit = Callable[[Call], None]
"""Asked before one more HTTP call of a model call; what it raises goes to the caller."""


class Deadline(Protocol):
    """The time up to which calls may start; waits for a turn or a retry end with it."""

    def seconds_left(self) -> float:
        """Seconds until it has come, infinite where there is none; never negative."""
        ...

    def check_clock(self) -> None:
        """Raise what ends a call that waited for too long, once the time has come."""
        ...


async def within(deadline: Deadline | None, wait: Callable[[], Awaitable[T]]) -> T:
    """What is waited for, unless the deadline comes first: then what `check_clock` raises."""
    if deadline is None:
        return await wait()
    while True:
        with anyio.move_on_after(deadline.seconds_left()):
            return await wait()
        deadline.check_clock()


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
            call.attempts += max(0, error.attempts) - 1
            call.uncounted += error.may_be_billed
            raise
        except EndpointError:
            raise
        except BaseException as error:
            # Cancelled on its way, or failed for a reason unknown here: the model may have answered.
            call.uncounted += 1
            await refuse_own_cancellation(error, f"the client of model {call.request.model!r}")
            raise
        finally:
            call.sent_at = None
            gate.leave()
        call.seconds = anyio.current_time() - start
        response = _sound(response, call)
        call.attempts += response.attempts - 1
        call.uncounted += not response.usage.prompt_tokens
        return response


def _sound(answered: object, call: Call) -> ChatResponse:
    """What a client returned, which may be a host's: numbers that cannot be count as missing, the call itself
    as one at least. Ids are for telemetry, and no client decides whether its call is paid for.

    Raises TypeError where it is no response.
    """
    text = answered.text if isinstance(answered, ChatResponse) else None
    if not isinstance(answered, ChatResponse) or not isinstance(cast("object", text), str):
        raise TypeError(
            f"the client of model {call.request.model!r} returned {answered!r:.200}; expected a ChatResponse"
        )
    usage, seconds, attempts = answered.usage, answered.seconds, answered.attempts
    counts = usage.prompt_tokens, usage.completion_tokens
    return replace(
        answered,
        usage=usage if all(_within(count, 0, 2**31 - 1) for count in counts) else Usage.stated(*counts),
        seconds=seconds if _within(seconds, 0, 1e9, kinds=(int, float)) else call.seconds,
        attempts=attempts if _within(attempts, 1, 2**31 - 1) else 1,
        tokens=answered.tokens if all(map(_likely, answered.tokens)) else (),
        id="",
        model="",
        batched=False,
        replayed=False,
    )


def _within(value: object, least: float, most: float, *, kinds: tuple[type, ...] = (int,)) -> bool:
    return isinstance(value, kinds) and least <= cast("float", value) <= most


def _likely(token: TokenChoice) -> bool:
    return all(_within(one.logprob, -math.inf, 0, kinds=(int, float)) for one in (token, *token.top))
