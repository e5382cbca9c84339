"""One chat completion: request, response, client protocol, and the clock of limits and retries."""

import math
from time import monotonic
from typing import Annotated, Literal, Protocol

import anyio
import msgspec

# Of the structs here there is one or more for every call. They hold no cycle, so the garbage collector need
# not know of them (`gc=False`).

Role = Literal["system", "user", "assistant"]


Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
LogProbability = Annotated[float, msgspec.Meta(le=0)]
"""Bounds of what is decoded: a value outside them, or no number, is refused there."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One chat turn."""

    role: Role
    content: str


class ChatRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Everything that defines a model call, and so its identity in the call ledger.

    `model` is the name the endpoint knows. `top_logprobs` > 0 asks for that many alternatives per token.
    `temperature` None leaves it to the endpoint. `json_object` asks for a JSON object (`response_format`).
    `extra_body` holds further fields of the body, as a JSON object; empty for none. `sample` numbers
    independent draws of an otherwise equal request; it is never sent. `can_wait` says that the answer may
    come with a batch, hours later; it is no part of the identity.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None = 0.0
    top_p: float | None = None
    top_logprobs: int = 0
    seed: int | None = None
    json_object: bool = False
    extra_body: str = ""
    sample: int = 0
    can_wait: bool = False


class TokenLogprob(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A token and its natural-log probability."""

    token: str
    logprob: LogProbability


class TokenChoice(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A generated token, its natural-log probability, and the alternatives the endpoint returned."""

    token: str
    logprob: LogProbability
    top: tuple[TokenLogprob, ...] = ()


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens as the endpoint counted them."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0

    @classmethod
    def stated(cls, prompt: object, completion: object) -> "Usage":
        """The counts that an endpoint or a client states; half a usage, or one that cannot be, is none."""
        counts = [_count(prompt), _count(completion)]
        return cls(*[count or 0 for count in counts]) if None not in counts and counts[0] else cls()


def _count(value: object) -> int | None:
    number = finite(value)
    return math.ceil(number) if number is not None and 0 <= number < 2**31 else None


def finite(value: object) -> float | None:
    """A finite number, also one in a string; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


class Unanswered(msgspec.Struct, frozen=True, gc=False):
    """HTTP calls that gave no response, and the most that they may have used."""

    attempts: int = 0
    most: Usage = Usage()


class ChatResponse(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The response to one request.

    `tokens` is empty unless log-probabilities were asked for and given. `seconds` is the wall time of the
    HTTP call that succeeded; `attempts` counts HTTP calls including failed ones, `uncounted` is the most that
    those may have used of which the endpoint gave no (plausible) count. `batched` is True where the call was
    made in a batch, at its price and with no `seconds` of its own. `replayed` is True when the call ledger
    answered and nothing was sent. `id` and `model` are what the endpoint calls the completion and the model,
    for telemetry alone: above the client they are empty.
    """

    text: str
    finish_reason: str | None = None
    tokens: tuple[TokenChoice, ...] = ()
    usage: Usage = Usage()
    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0
    attempts: Count = 1
    uncounted: Usage = Usage()
    batched: bool = False
    replayed: bool = False
    id: str = ""
    model: str = ""


class ChatClient(Protocol):
    """Sends one chat completion.

    Implementations raise `CallFailed` (or a subclass) when the call gave no response, `EndpointError` when
    the endpoint cannot be used at all, `BudgetReached` when the budget refuses; they never return a made-up
    response. They are safe to call from many tasks at once and honour cancellation.
    """

    async def chat(self, request: ChatRequest) -> ChatResponse:
        """The response to one request."""
        ...


class Clock(Protocol):
    """Seconds that only go forward, and waiting for them to pass; tests bring one that needs no waiting."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The computer's own."""

    def now(self) -> float:
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)
