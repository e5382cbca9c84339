"""Which failures are tried again, when, and how it ends."""

import random

import anyio
import anyio.lowlevel
import pytest

from transfer_prompting.runtime.errors import (
    BudgetReached,
    CallFailed,
    CircuitOpen,
    ContextTooLong,
    EndpointError,
    ParameterRefused,
    RateLimited,
    Rejected,
    ServerFault,
    Unreachable,
)
from transfer_prompting.runtime.llm._call import Call, Sender
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.runtime.llm.limits.limiter import LimitedClient, Limiter
from transfer_prompting.runtime.llm.retries import Breaker, RetryingClient
from transfer_prompting.scenarios.endpoints import Limits, Retry

from support.chat_server import Fault, Malformed, Reply, Reset, Truncated, chat_server
from support.virtual_time import VirtualClock, in_virtual_time

REQUEST = ChatRequest(model="m", messages=(Message("user", "hi"),), max_tokens=4)


class Faults:
    """Fails with one error after another, then answers; notes when it was called."""

    def __init__(self, *errors: Exception, then: ChatResponse | None = None) -> None:
        self.errors = list(errors)
        self.then = then or ChatResponse(text="ok")
        self.at: list[float] = []

    async def chat(self, request: ChatRequest) -> ChatResponse:
        self.at.append(anyio.current_time())
        if self.errors:
            raise self.errors.pop(0)
        return self.then


def retrying(inner: Faults, policy: Retry | None = None, **settings: object) -> RetryingClient:
    clock = VirtualClock()
    return RetryingClient(Sender(inner), policy or Retry(), random=random.Random(1), clock=clock, **settings)  # pyright: ignore[reportArgumentType]


def outcome(client: RetryingClient) -> ChatResponse | Exception:
    async def main() -> ChatResponse | Exception:
        try:
            return await client.chat(REQUEST)
        except Exception as error:  # noqa: BLE001 (the error is what is tested)
            return error

    return in_virtual_time(main)


@pytest.mark.parametrize("error", [RateLimited("x"), ServerFault("x"), Unreachable("x")])
def test_what_may_pass_is_tried_again_and_calls_are_counted(error: CallFailed):
    inner = Faults(error, error)
    response = outcome(retrying(inner))
    assert isinstance(response, ChatResponse)
    assert response.attempts == 3 == len(inner.at)


@pytest.mark.parametrize(
    "error", [Rejected("x"), ContextTooLong("x"), EndpointError("x"), BudgetReached("x"), ValueError("x")]
)
def test_what_cannot_pass_is_not_tried_again(error: Exception):
    inner = Faults(error)
    assert outcome(retrying(inner)) is error
    assert len(inner.at) == 1


@pytest.mark.parametrize(
    ("fault", "calls"),
    [
        (Fault(429), 2),
        (Fault(500), 2),
        (Fault(502), 2),
        (Fault(503), 2),
        (Fault(503, headers={"Retry-After": "3"}), 2),
        (Fault(408), 2),
        (Reset(), 2),
        (Truncated(), 2),
        (Malformed(), 2),
        (Fault(400), 1),
        (Fault(401), 1),
        (Fault(403), 1),
        (Fault(404), 1),
        (Fault(413), 1),
        (Fault(422), 1),
        (Fault(307, headers={"Location": "/elsewhere"}), 1),
        (Fault(429, code="insufficient_quota"), 1),
        (Fault(400, code="context_length_exceeded"), 1),
    ],
)
async def test_the_table_holds_over_http(fault: Reply, calls: int):
    async with chat_server(script=[fault]) as server, AiohttpClient(server.base_url) as client:
        retry = RetryingClient(Sender(client), Retry(), clock=NoWait())
        if calls == 2:
            assert (await retry.chat(REQUEST)).attempts == 2
        else:
            with pytest.raises((CallFailed, EndpointError)):
                await retry.chat(REQUEST)
    assert server.count == calls


class NoWait(VirtualClock):
    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()


def test_waits_double_with_jitter():
    inner = Faults(*[ServerFault("x")] * 5)
    outcome(retrying(inner))
    waits = [after - before for before, after in zip(inner.at, inner.at[1:], strict=False)]
    for wait, most in zip(waits, (0.5, 1, 2, 4, 8), strict=True):
        assert most / 2 <= wait <= most


def test_waits_grow_to_half_a_minute_and_no_further():
    inner = Faults(*[ServerFault("x")] * 9)
    outcome(retrying(inner, Retry(attempts=10, seconds=1e4)))
    waits = [after - before for before, after in zip(inner.at, inner.at[1:], strict=False)]
    assert all(15 <= wait <= 30 for wait in waits[6:])
    assert 8 <= waits[5] <= 16


def test_no_attempt_comes_before_the_endpoint_allows_it():
    inner = Faults(RateLimited("x", retry_after=7), RateLimited("x", retry_after=0.01))
    outcome(retrying(inner))
    assert inner.at[1] >= 7
    assert inner.at[2] - inner.at[1] >= 0.5


def test_attempts_are_capped_and_the_error_says_how_many_and_keeps_its_cause():
    cause = OSError("cable")
    last = ServerFault("the server is on fire", status=500)
    last.__cause__ = cause
    inner = Faults(*[ServerFault("x")] * 2, last)
    assert outcome(retrying(inner, Retry(attempts=3))) is last
    assert last.attempts == 3 == len(inner.at)
    assert last.__cause__ is cause
    assert "on fire" in str(last)
    assert "3 calls" in str(last)


def test_time_is_capped_before_the_wait_not_after_it():
    inner = Faults(RateLimited("x", retry_after=1000))
    error = outcome(retrying(inner, Retry(seconds=300)))
    assert isinstance(error, RateLimited)
    assert "1000 s" in str(error)
    assert (len(inner.at), error.attempts) == (1, 1)


@pytest.mark.parametrize(("seconds", "calls"), [(7, 2), (6.9, 1)])
def test_an_attempt_may_start_until_the_time_is_over(seconds: float, calls: int):
    inner = Faults(RateLimited("x", retry_after=7))
    outcome(retrying(inner, Retry(seconds=seconds)))
    assert len(inner.at) == calls


def test_the_error_says_how_long_it_was_tried_and_a_wait_that_was_asked_for_only_where_it_is_too_long():
    async def main() -> None:
        await anyio.sleep(50)
        for waits, says in (
            ((4, 4, 4), r"^x \(gave up after 3 calls in 8 s\)$"),
            ((4, 295), r"in 4 s; it asks .* 295 s"),
        ):
            inner = Faults(*[RateLimited("x", retry_after=wait) for wait in waits])
            with pytest.raises(RateLimited, match=says):
                await retrying(inner, Retry(attempts=3, seconds=298)).chat(REQUEST)

    in_virtual_time(main)


def test_without_a_clock_it_goes_by_real_time():
    inner = Faults(RateLimited("x", retry_after=9))

    async def main() -> None:
        with pytest.raises(RateLimited, match=r"gave up after 1 call in 0 s; it asks to wait 9 s"):
            await RetryingClient(Sender(inner), Retry(seconds=5)).chat(REQUEST)

    anyio.run(main)


@pytest.mark.parametrize("attempts", [1, 6])
def test_a_request_is_sent_at_once_in_another_form_which_is_no_attempt_of_the_policy(attempts: int):
    inner = Faults(*[ParameterRefused("max_tokens is not supported")] * 12)
    response = outcome(retrying(inner, Retry(attempts=attempts)))
    assert isinstance(response, ChatResponse)
    assert response.attempts == 13
    assert inner.at == [0.0] * 13


def test_forms_of_a_request_end_and_the_error_counts_them():
    inner = Faults(*[ParameterRefused("max_tokens is not supported")] * 99)
    error = outcome(retrying(inner))
    assert isinstance(error, ParameterRefused)
    assert error.attempts == 13 == len(inner.at)
    assert "max_tokens is not supported (gave up after 13 calls in 0 s" in str(error)


def test_each_further_attempt_is_announced_just_before_it_is_made():
    announced: list[float] = []
    inner = Faults(ServerFault("x"), ServerFault("x"))

    def admit(call: Call) -> None:
        assert call.request == REQUEST
        announced.append(anyio.current_time())

    assert isinstance(outcome(retrying(inner, admit=admit)), ChatResponse)
    assert announced == inner.at[1:]


def test_what_refuses_a_further_attempt_ends_the_call_with_its_own_error():
    refusal = BudgetReached("no more")

    def refuse(call: Call) -> None:
        raise refusal

    inner = Faults(ServerFault("x"))
    assert outcome(retrying(inner, admit=refuse)) is refusal
    assert len(inner.at) == 1


def test_a_circuit_that_opens_meanwhile_ends_the_call():
    breaker = Breaker("lab", failures=2, seconds=0, clock=VirtualClock())
    inner = Faults(*[Unreachable("no route")] * 9)
    error = outcome(retrying(inner, breaker=breaker))
    assert isinstance(error, CircuitOpen)
    assert "no route" in str(error)
    assert len(inner.at) == 2


def test_a_call_that_waits_to_be_tried_again_holds_no_place():
    done: list[float] = []

    async def main() -> None:
        clock = VirtualClock()
        inner = Faults(ServerFault("x"))
        limited = LimitedClient(Sender(inner), Limiter(Limits(concurrency=1), clock))
        client = RetryingClient(limited, Retry(), random=random.Random(1), clock=clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.chat, REQUEST)
            await anyio.sleep(0.01)
            await client.chat(REQUEST)
            done.append(anyio.current_time())

    in_virtual_time(main)
    assert done[0] < 0.1


def test_a_call_that_is_cancelled_in_its_wait_is_not_tried_again():
    inner = Faults(RateLimited("x", retry_after=50))

    async def main() -> None:
        with anyio.move_on_after(10):
            await retrying(inner).chat(REQUEST)
        await anyio.sleep(100)

    in_virtual_time(main)
    assert len(inner.at) == 1


def test_while_calls_are_tried_again_the_reason_and_the_time_are_known_and_gone_with_an_answer():
    async def scenario() -> None:
        client = retrying(Faults(ServerFault("overloaded"), ServerFault("still overloaded")))
        seen: list[tuple[str, float]] = []

        async def watch() -> None:
            while True:
                found = client.retrying()
                if found is not None:
                    seen.append((found.reason, found.seconds))
                await anyio.sleep(0.1)

        assert client.retrying() is None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await client.chat(REQUEST)
            tasks.cancel_scope.cancel()
        assert client.retrying() is None
        assert [reason for reason, _ in seen] == sorted((reason for reason, _ in seen))
        assert {reason for reason, _ in seen} == {"overloaded", "still overloaded"}
        assert seen[-1][1] > seen[0][1]

    in_virtual_time(scenario)


@pytest.mark.parametrize("breaker", [None, Breaker("lab", clock=VirtualClock())])
def test_the_seconds_without_an_answer_count_from_the_first_retry_of_any_call(breaker: Breaker | None):
    async def scenario() -> None:
        await anyio.sleep(5)
        busy = [RateLimited("busy", retry_after=4), RateLimited("still busy", retry_after=6)]
        client = retrying(Faults(*busy), breaker=breaker)
        assert client.last_reason is None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.chat, REQUEST)
            for reason, seconds in (("busy", 3), ("still busy", 6)):
                await anyio.sleep(3)
                found = client.retrying()
                assert found is not None
                assert (found.reason, found.seconds) == (reason, pytest.approx(seconds))
        assert client.retrying() is None
        assert client.last_reason == "still busy"

    in_virtual_time(scenario)
