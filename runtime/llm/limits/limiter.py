"""The limits of one endpoint and model, shared by all its callers, and the layer that keeps them."""

from functools import partial

import msgspec

from ....scenarios.endpoints import Limits
from ...errors import CallFailed, ParameterRefused, RateLimited, Rejected
from .._call import Call, Deadline, Layer, within
from ..chat import ChatRequest, ChatResponse, Clock, SystemClock
from ..http._refusals import RateSheet
from ._allowance import Allowance
from ._queue import Queue
from ._rates import TokenEstimate

PATIENCE = 300.0


class LimitsNow(msgspec.Struct, frozen=True):
    """Limits at one moment. Rates are per minute, None where nothing limits them; `paused_for` is in seconds.

    `window` is the number of calls allowed in flight. `rejections` counts calls the endpoint refused as too
    many, `episodes` the occasions on which it did.
    """

    in_flight: int
    waiting: int
    window: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    paused_for: float
    rejections: int
    episodes: int


class Limiter:
    """Keeps calls to one endpoint and model within what it allows; share one among all its callers.

    Declared limits are kept by spacing calls evenly. Undeclared ones are taken from `x-ratelimit-*` headers
    (`stated`) or learned from refusals: a refusal pauses everything until the endpoint's Retry-After, and
    sets a pace (see `LearnedRate`); an overload without a Retry-After shrinks the number in flight. Calls
    wait in the order of arrival. Refusals at random, which do not depend on the rate, pause only their own
    calls (see `Evidence`). When the endpoint asks for a pause of more than `patience` seconds, or has refused
    every call for so long, calls that wait get RateLimited at once.
    """

    def __init__(self, limits: Limits, clock: Clock | None = None, *, patience: float = PATIENCE) -> None:
        self._clock = clock or SystemClock()
        self._allowance = Allowance(limits, self._clock)
        self._queue = Queue(self._allowance, self._clock)
        self._estimate = TokenEstimate()
        self._patience = patience
        self._refusal: RateLimited | None = None
        self._refused_since: float | None = None
        self.rejections = 0

    def now(self) -> LimitsNow:
        """A snapshot for displays."""
        allowance = self._allowance
        paces = [pace for pace in (allowance.requests, allowance.learned.pace) if pace is not None]
        rate = min((pace.per_second for pace in paces), default=None)
        tokens = allowance.tokens
        return LimitsNow(
            in_flight=allowance.in_flight,
            waiting=len(self._queue),
            window=allowance.window.size,
            requests_per_minute=None if rate is None else 60 * rate,
            tokens_per_minute=None if tokens is None else 60 * tokens.per_second,
            paused_for=max(0.0, allowance.paused_until - self._clock.now()),
            rejections=self.rejections,
            episodes=allowance.episodes,
        )

    def has_room(self) -> bool:
        """True while one more call could start at once: none waits, a place is free, no rate or pause forbids
        it. A probe, which is sent despite a pause, is a call that waits, never a further one."""
        return self._may_start() and self._clock.now() >= self._allowance.paused_until

    def _may_start(self) -> bool:
        allowance = self._allowance
        if self._queue or not allowance.free():
            return False
        return not allowance.timed or self._clock.now() >= allowance.due()

    def estimate(self, request: ChatRequest) -> float:
        """Tokens to reserve for a call; 0 where tokens are not limited."""
        return 0.0 if self._allowance.tokens is None else self._estimate.of(request)

    def enter(self, tokens: float) -> int | None:
        """Start a call now and return its number; None when it has to `wait`."""
        return self._allowance.take(tokens) if self._may_start() else None

    async def wait(self, tokens: float) -> int:
        """Wait for a turn and start the call; returns its number."""
        if self._refusal is not None and self._allowance.paused_until - self._clock.now() > self._patience:
            raise self._too_long(self._refusal)
        return await self._queue.wait(tokens)

    def served(self, number: int, tokens: float, request: ChatRequest, response: ChatResponse) -> None:
        """A call was answered; the tokens reserved for it are settled with those it used."""
        allowance, spare = self._allowance, 0.0
        self._refused_since = None
        allowance.served(number, response.seconds)
        if allowance.tokens is not None:
            usage = response.usage
            if usage.prompt_tokens:
                spare = tokens - usage.prompt_tokens - usage.completion_tokens
                self._estimate.learn(request, usage)
        allowance.put_back(spare)
        if self._queue:
            self._queue.admit()

    def failed(self, number: int, tokens: float, error: BaseException) -> None:
        """A call ended without a response."""
        allowance, spare = self._allowance, 0.0
        if isinstance(error, RateLimited):
            spare = tokens
            self._refused(number, error)
        elif isinstance(error, Rejected | ParameterRefused):
            allowance.learned.served()
        elif isinstance(error, CallFailed) and error.status == 503:
            allowance.overloaded(number)
        allowance.put_back(spare)
        self._queue.admit()

    def stated(self, sheet: RateSheet) -> None:
        """Take over the limits that the headers of an answer state."""
        self._allowance.stated(sheet)

    def _refused(self, number: int, error: RateLimited) -> None:
        self.rejections += 1
        self._refusal = error
        now = self._clock.now()
        if self._refused_since is None:
            self._refused_since = now
        if self._allowance.refused(number, error.retry_after) > self._patience:
            self._queue.dismiss(lambda: self._too_long(error))
        elif (refused := now - self._refused_since) > self._patience:
            self._queue.dismiss(lambda: self._refused_for(refused, error))

    def _too_long(self, error: RateLimited) -> RateLimited:
        pause = self._allowance.paused_until - self._clock.now()
        return RateLimited(
            f"the endpoint asks to wait another {pause:.0f} s, longer than a call may wait"
            f" ({self._patience:g} s): {error}",
            retry_after=pause,
            status=error.status,
            attempts=0,
        )

    def _refused_for(self, seconds: float, error: RateLimited) -> RateLimited:
        refused = RateLimited(
            f"the endpoint has refused all calls for {seconds:.0f} s, longer than a call may wait"
            f" ({self._patience:g} s): {error}",
            status=error.status,
            attempts=0,
        )
        refused.retryable = False  # it has waited for as long as a series of retries may last
        return refused


class LimitedClient(Layer):
    """Makes each call within the limits; a call holds its place for exactly one HTTP call, and waits for it
    until the `deadline` at most."""

    def __init__(self, inner: Layer, limiter: Limiter, deadline: Deadline | None = None) -> None:
        self._inner = inner
        self._limiter = limiter
        self._deadline = deadline

    async def send(self, call: Call) -> ChatResponse:
        limiter, request = self._limiter, call.request
        tokens = limiter.estimate(request)
        number = limiter.enter(tokens)
        if number is None:
            number = await within(self._deadline, partial(limiter.wait, tokens))
        try:
            response = await self._inner.send(call)
        except BaseException as error:
            limiter.failed(number, tokens, error)
            raise
        limiter.served(number, tokens, request, response)
        return response


class Limiters:
    """The limiters of one endpoint, one a model, made when first asked for.

    limiters = Limiters(endpoint.limits)
    client = AiohttpClient(base_url, on_limits=limiters.stated)
    limited = LimitedClient(Sender(client), limiters.of(model))
    """

    def __init__(self, limits: Limits, clock: Clock | None = None, *, patience: float = PATIENCE) -> None:
        self._limits = limits
        self._clock = clock
        self._patience = patience
        self._by_model: dict[str, Limiter] = {}

    def of(self, model: str) -> Limiter:
        """The limiter of a model, always the same one."""
        if model not in self._by_model:
            self._by_model[model] = Limiter(self._limits, self._clock, patience=self._patience)
        return self._by_model[model]

    def stated(self, model: str, sheet: RateSheet) -> None:
        """Take over the limits that the headers of an answer for `model` state."""
        self.of(model).stated(sheet)
