"""Exact bounds of a budget: what fits into a cap, to the last unit, and what a refusal says."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import msgspec
import pytest

from transfer_prompting.runtime.errors import BudgetReached
from transfer_prompting.runtime.llm._call import Call, Layer, Reservation
from transfer_prompting.runtime.llm.budget.budget import Amounts, Budget, BudgetedClient
from transfer_prompting.runtime.llm.budget.usage import Tally
from transfer_prompting.runtime.llm.chat import ChatResponse, Usage
from transfer_prompting.scenarios.endpoints import Price
from transfer_prompting.scenarios.stages import BudgetSettings as Caps

from support.spending import FREE, asked

EACH = Reservation(10, 4.0)


def new() -> Reservation:
    """A call of at most 10 tokens and 4 dollars."""
    return Reservation(EACH.tokens, EACH.usd)


def taken(budget: Budget) -> Call:
    """A call that is in flight."""
    call = Call(asked(), new())
    assert call.reservation is not None
    assert budget.take(call.reservation)
    assert budget.admit(call) is None
    return call


def settled(budget: Budget, count: int, cost: Amounts) -> None:
    """So many calls, made one after the other, each at this cost."""
    for _ in range(count):
        budget.settle(taken(budget), cost, Amounts())


CAPS = pytest.mark.parametrize(
    ("caps", "cap"),
    [(Caps(calls=3), "calls"), (Caps(tokens=30), "tokens"), (Caps(usd=12.0), "usd")],
    ids=["calls", "tokens", "usd"],
)


@CAPS
def test_a_cap_is_used_to_the_last_unit(caps: Caps, cap: str):
    budget = Budget(caps)
    calls = [taken(budget) for _ in range(3)]
    assert not budget.take(new())
    for call in calls:
        budget.settle(call, Amounts(1, EACH.tokens, EACH.usd), Amounts())
    with pytest.raises(
        BudgetReached, match=rf"^budget\.{cap} is reached: [\d.]+ of [\d.]+ {cap} spent; raise"
    ):
        budget.take(new())


@CAPS
def test_what_a_call_did_not_use_is_free_again(caps: Caps, cap: str):
    budget = Budget(caps)
    first, second, third = (taken(budget) for _ in range(3))
    budget.settle(first, Amounts(), Amounts())
    assert taken(budget)
    budget.settle(second, Amounts(1, EACH.tokens, EACH.usd), Amounts())
    budget.settle(third, Amounts(1, EACH.tokens, EACH.usd), Amounts())
    assert not budget.take(new())
    refused = Reservation(2 * EACH.tokens, 2 * EACH.usd)
    refused.calls = 2
    with pytest.raises(BudgetReached, match=rf"budget\.{cap} is reached"):
        budget.take(refused)


@pytest.mark.parametrize(
    ("caps", "cap", "fit"),
    [(Caps(calls=4), "calls", 3), (Caps(tokens=40), "tokens", 3), (Caps(usd=16.0), "usd", 3)],
    ids=["calls", "tokens", "usd"],
)
def test_further_http_calls_of_a_call_use_a_cap_to_the_last_unit(caps: Caps, cap: str, fit: int):
    """Each after one that may be billed though it gave no usage."""
    budget = Budget(caps)
    call = taken(budget)
    for number in range(1, fit + 1):
        call.uncounted = number
        budget.admit_another(call)
    call.uncounted += 1
    with pytest.raises(BudgetReached, match=rf"budget\.{cap} is reached"):
        budget.admit_another(call)
    budget.settle(call, Amounts(fit + 1, 4 * EACH.tokens, 4 * EACH.usd), Amounts())
    with pytest.raises(BudgetReached):
        budget.take(new())


def test_a_further_http_call_after_an_uncharged_one_uses_only_a_call():
    budget = Budget(Caps(calls=3, tokens=10, usd=4.0))
    call = taken(budget)
    budget.admit_another(call)
    budget.admit_another(call)
    with pytest.raises(BudgetReached, match="3 of 3 calls spent"):
        budget.admit_another(call)
    budget.settle(call, Amounts(3, 10, 4.0), Amounts())
    assert budget.path_spent() == Amounts(3, 10, 4.0)


def test_a_second_sending_beside_one_in_flight_is_reserved_in_full():
    """A hedged call: both may be billed."""
    budget = Budget(Caps(tokens=25))
    call = taken(budget)
    call.sent_at = 0.0
    budget.admit_another(call)
    assert not budget.take(Reservation(6, 0.0))
    budget.settle(call, Amounts(2, 10), Amounts())
    assert budget.take(Reservation(6, 0.0))


def test_a_reserve_keeps_further_http_calls_from_the_calls_of_the_final_test():
    budget = Budget(Caps(calls=4))
    budget.reserve(2)
    call = taken(budget)
    budget.admit_another(call)
    with pytest.raises(
        BudgetReached, match="2 of 4 calls spent, 2 calls are reserved for the final test; raise"
    ):
        budget.admit_another(call)
    budget.release()
    budget.admit_another(call)


def test_a_retry_that_earlier_invocations_leave_no_room_for_gives_the_path_its_room_back():
    budget = Budget(Caps(calls=3, tokens=30, usd=12.0))
    budget.resume(paid=Amounts(2, 20, 8.0), seconds=0)
    call = taken(budget)
    call.uncounted = 1
    for _ in range(3):
        with pytest.raises(BudgetReached, match=r"budget\.calls is reached: 3 of 3"):
            budget.admit_another(call)
    assert [budget.take(new()), budget.take(new())] == [True, True]
    assert not budget.take(new())


@pytest.mark.parametrize(
    ("caps", "cap", "fits"),
    [(Caps(tokens=452), "tokens", Reservation(29, 0.0)), (Caps(usd=49.0), "usd", Reservation(0, 6.75))],
    ids=["tokens", "usd"],
)
def test_after_enough_calls_their_mean_cost_is_kept_for_the_final_test(
    caps: Caps, cap: str, fits: Reservation
):
    """At 1.1 times the mean: after 20 calls of 20 tokens and 2 dollars, for one more 22 and 2.2."""
    more = Reservation(fits.tokens + 2 if fits.tokens else 0, fits.usd + 0.1 if fits.usd else 0.0)
    budget = Budget(caps)
    budget.reserve(1)
    settled(budget, 19, Amounts(1, 20, 2.0))
    assert budget.take(more)
    budget = Budget(caps)
    budget.reserve(1)
    settled(budget, 20, Amounts(1, 20, 2.0))
    message = rf"budget\.{cap} is reached: .*, and what 1 calls cost is reserved for the final test; raise"
    with pytest.raises(BudgetReached, match=message):
        budget.take(more)
    assert budget.take(fits)


def test_what_is_left_of_each_cap():
    now = [0.0]
    budget = Budget(Caps(calls=10, tokens=100, usd=5.0, minutes=4.0), clock=lambda: now[0])
    settled(budget, 1, Amounts(2, 30, 4.5))
    now[0] += 90
    shown = {cap: (one.spent, one.cap, one.left) for cap, one in budget.remaining().items()}
    assert shown == {
        "calls": (2, 10, 8),
        "tokens": (30, 100, 70),
        "usd": (4.5, 5.0, 0.5),
        "minutes": (1.5, 4.0, 2.5),
    }
    settled_over = Budget(Caps(calls=1))
    settled_over.settle(taken(settled_over), Amounts(3), Amounts())
    assert settled_over.remaining()["calls"].left == 0


def test_minutes_end_at_the_cap_less_what_the_final_test_will_take():
    now = [0.0]
    budget = Budget(Caps(minutes=10.0), clock=lambda: now[0])
    settled(budget, 20, Amounts(1))
    now[0] += 400
    budget.reserve(9)  # 3 minutes, at 20 seconds each
    taken(budget)
    now[0] += 20
    with pytest.raises(BudgetReached, match=r"7 of 10 minutes spent, and what 9 calls cost is reserved"):
        taken(budget)
    budget.release()
    taken(budget)
    now[0] += 180
    with pytest.raises(BudgetReached, match=r"10 of 10 minutes spent; raise"):
        taken(budget)


async def test_a_call_that_must_wait_for_calls_sent_by_others_is_sent_when_those_have_settled():
    budget = Budget(Caps(calls=2))
    budget.resume(paid=Amounts(1), seconds=0)
    first = taken(budget)
    second = Call(asked(), new())
    assert second.reservation is not None
    assert budget.take(second.reservation)
    waiting = budget.admit(second)
    assert waiting is not None
    async with anyio.create_task_group() as tasks:

        async def settle() -> None:
            budget.settle(first, Amounts(), Amounts())

        tasks.start_soon(settle)
        with anyio.fail_after(60):
            await waiting
    assert second.reservation.paid
    budget.settle(second, Amounts(1), Amounts())
    third = Call(asked(), new())
    with pytest.raises(BudgetReached, match=r"budget\.calls is reached: 2 of 2 calls spent"):
        budget.admit(third)


async def test_a_call_that_waits_is_refused_when_what_it_waited_for_used_its_room():
    budget = Budget(Caps(calls=2))
    budget.resume(paid=Amounts(1), seconds=0)
    first = taken(budget)
    waiting = budget.admit(Call(asked(), new()))
    assert waiting is not None
    async with anyio.create_task_group() as tasks:

        async def settle() -> None:
            budget.settle(first, Amounts(1), Amounts())

        tasks.start_soon(settle)
        with anyio.fail_after(60), pytest.raises(BudgetReached, match=r"budget\.calls is reached: 2 of 2"):
            await waiting


async def test_nobody_passes_a_call_that_waits():
    budget = Budget(Caps(tokens=30))
    first = taken(budget)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(budget.wait_and_take, Reservation(25, 0.0))
        await anyio.lowlevel.checkpoint()
        assert not budget.take(Reservation(1, 0.0))
        budget.settle(first, Amounts(1, 0), Amounts())


def test_only_a_budgeted_call_is_admitted():
    with pytest.raises(TypeError, match="only a call made through a BudgetedClient can be admitted"):
        Budget(Caps()).admit(Call(asked()))


class Recorder(Layer):
    """Answers each call by a function, and keeps the calls."""

    def __init__(self, answer: Callable[[Call], ChatResponse]) -> None:
        self.calls: list[Call] = []
        self._answer = answer

    async def send(self, call: Call) -> ChatResponse:
        self.calls.append(call)
        return self._answer(call)


def answered(call: Call) -> ChatResponse:
    return ChatResponse(text="B", usage=Usage(10, 5), attempts=1, batched=call.request.can_wait)


async def test_the_extra_body_of_a_model_is_added_to_requests_without_one():
    inner = Recorder(answered)
    client = BudgetedClient(inner, Budget(Caps()), FREE, Tally(), extra_body='{"a":1}')
    await client.chat(asked())
    await client.chat(msgspec.structs.replace(asked(), extra_body='{"b":2}'))
    plain = BudgetedClient(inner, Budget(Caps()), FREE, Tally())
    await plain.chat(asked())
    assert [call.request.extra_body for call in inner.calls] == ['{"a":1}', '{"b":2}', ""]
    assert inner.calls[0].request.messages == asked().messages


async def test_a_call_in_a_batch_is_reserved_and_settled_at_the_price_of_a_batch():
    price = Price(input_per_million=1e6, output_per_million=1e6, batch=0.5)
    budget, tally, inner = Budget(Caps()), Tally(), Recorder(answered)
    client = BudgetedClient(inner, budget, price, tally)
    for can_wait in (True, False):
        await client.chat(msgspec.structs.replace(asked(), can_wait=can_wait))
    batched, alone = (call.reservation for call in inner.calls)
    assert batched is not None
    assert alone is not None
    assert batched.usd * 2 == alone.usd > 0
    assert budget.path_spent().usd == tally.usd == 7.5 + 15


async def test_the_first_call_under_a_cap_on_tokens_is_no_batch():
    inner = Recorder(answered)
    client = BudgetedClient(inner, Budget(Caps(tokens=10_000)), FREE, Tally())
    for _ in range(2):
        await client.chat(msgspec.structs.replace(asked(), can_wait=True))
    assert [call.request.can_wait for call in inner.calls] == [False, True]


async def test_replies_over_the_limit_of_tokens_are_reserved_for_from_then_on():
    lengths = iter([9, 10, 25, 12, 10])
    inner = Recorder(lambda call: ChatResponse(text="B", usage=Usage(10, next(lengths))))
    client = BudgetedClient(inner, Budget(Caps()), FREE, Tally())
    for _ in range(5):
        await client.chat(asked(most=10))
    assert [call.most.completion_tokens for call in inner.calls] == [10, 10, 10, 25, 25]
