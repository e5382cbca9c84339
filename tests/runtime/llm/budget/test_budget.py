"""No cap is ever passed: in flight, over retries, over invocations."""

from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transfer_prompting.runtime.errors import BudgetReached, RateLimited
from transfer_prompting.runtime.llm._call import Call, Layer, Sender
from transfer_prompting.runtime.llm.budget.budget import Amounts, Budget, BudgetedClient, most_prompt_tokens
from transfer_prompting.runtime.llm.budget.usage import Tally
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message, Usage
from transfer_prompting.runtime.llm.ledger.ledger import Ledger
from transfer_prompting.runtime.llm.ledger.replay import LedgeredClient
from transfer_prompting.scenarios.stages import BudgetSettings as Caps

from support.spending import FREE, PRICE, Counter, ask_many, asked, budget_over, stack


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


async def test_under_concurrency_the_server_counts_exactly_the_cap(path: Path) -> None:
    server = Counter()
    with anyio.fail_after(60):
        async with Ledger.open(path) as ledger:
            client = stack(server, Budget(Caps(calls=300)), ledger)
            assert await ask_many(client, range(1000), at_once=256) == (300, 700, 0)
    assert server.served == 300


async def test_further_attempts_count_and_never_pass_the_cap(path: Path) -> None:
    server = Counter(fails=lambda number: number % 3 == 0)
    with anyio.fail_after(60):
        async with Ledger.open(path) as ledger:
            client = stack(server, Budget(Caps(calls=200)), ledger, attempts=4)
            answered, refused, _ = await ask_many(client, range(1000), at_once=256)
    assert server.served <= 200
    assert answered + refused <= 1000
    assert server.served >= 195


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(
    cap=st.integers(1, 60),
    attempts=st.integers(1, 4),
    every=st.integers(2, 6),
    at_once=st.integers(1, 40),
    invocations=st.integers(1, 4),
)
async def test_over_all_invocations_the_server_never_counts_more_than_the_cap(
    tmp_path_factory: pytest.TempPathFactory,
    cap: int,
    attempts: int,
    every: int,
    at_once: int,
    invocations: int,
) -> None:
    path = tmp_path_factory.mktemp("run") / "ledger.sqlite"
    server = Counter(fails=lambda number: number % every == 0)
    for _ in range(invocations):
        async with Ledger.open(path) as ledger:
            client = stack(server, budget_over(ledger, Caps(calls=cap)), ledger, attempts=attempts)
            await ask_many(client, range(100), at_once=at_once)
            assert server.served <= cap


async def test_a_resumed_run_comes_to_the_same_point_and_a_raised_cap_goes_on_from_there(path: Path) -> None:
    server = Counter(Usage(7, 3))

    async def invocation(cap: int) -> tuple[int, int]:
        async with Ledger.open(path) as ledger:
            client = stack(server, budget_over(ledger, Caps(calls=cap)), ledger)
            answered, _, _ = await ask_many(client, range(100), at_once=1)
        return answered, server.served

    assert await invocation(20) == (20, 20)
    assert await invocation(20) == (20, 20)
    assert await invocation(35) == (35, 35)
    assert await invocation(1000) == (100, 100)


async def test_a_resumed_run_comes_to_the_same_point_whatever_failed_later(path: Path) -> None:
    """Six calls of a first stage come before the attempts that fail; a cap of ten ends the run after them."""
    server = Counter(fails=lambda number: number in (7, 8, 9))

    async def invocation() -> tuple[int, int]:
        async with Ledger.open(path) as ledger:
            client = stack(server, budget_over(ledger, Caps(calls=10)), ledger)
            first, _, _ = await ask_many(client, range(6), at_once=1)
            second, _, _ = await ask_many(client, range(6, 20), at_once=1)
        return first, second

    assert await invocation() == (6, 1)
    assert await invocation() == (6, 1)
    assert server.served == 10


async def test_failures_of_earlier_invocations_count_from_the_start(path: Path) -> None:
    server = Counter(fails=lambda number: number <= 6)
    async with Ledger.open(path) as ledger:
        client = stack(server, Budget(Caps(calls=10)), ledger, attempts=6)
        with pytest.raises(RateLimited):
            await client.chat(asked())
    async with Ledger.open(path) as ledger:
        client = stack(server, budget_over(ledger, Caps(calls=10)), ledger)
        answered, refused, failed = await ask_many(client, range(1, 10), at_once=1)
    assert (answered, refused, failed) == (4, 5, 0)
    assert server.served == 10


async def test_a_replay_counts_like_a_paid_call(path: Path, tmp_path: Path) -> None:
    server = Counter(Usage(7, 3))

    async def run(own: Path) -> Budget:
        async with Ledger.open(own) as ledger, Ledger.open(path, shared=True) as cache:
            budget = Budget(Caps(calls=5))
            ledgered = LedgeredClient(Sender(server), ledger, "http://host/v1", cache, admit=budget.admit)
            await ask_many(BudgetedClient(ledgered, budget, FREE, Tally()), range(10), at_once=1)
            return budget

    first = await run(tmp_path / "a.sqlite")
    second = await run(tmp_path / "b.sqlite")
    assert server.served == 5
    for cap in ("calls", "tokens", "usd"):
        assert first.remaining()[cap] == second.remaining()[cap]
    assert second.remaining()["tokens"].spent == 50


async def test_tokens_and_dollars_never_pass_their_caps_and_are_used_well(path: Path) -> None:
    usage = Usage(most_prompt_tokens(asked()) // 3, 5)
    each = usage.prompt_tokens + usage.completion_tokens
    server = Counter(usage)
    caps = Caps(tokens=10_000, usd=15_000)
    with anyio.fail_after(60):
        async with Ledger.open(path) as ledger:
            budget = Budget(caps)
            client = stack(server, budget, ledger, price=PRICE)
            answered, refused, _ = await ask_many(client, range(1000), at_once=64)
    assert refused > 0
    assert server.served == answered
    left = budget.remaining()
    assert 9_800 < answered * each == left["tokens"].spent <= 10_000
    assert left["usd"].spent == pytest.approx(answered * (usage.prompt_tokens + 2 * usage.completion_tokens))
    assert left["usd"].spent <= 15_000


async def test_a_response_without_token_counts_is_settled_for_what_was_reserved(path: Path) -> None:
    async with Ledger.open(path) as ledger:
        budget = Budget(Caps(tokens=1000))
        await stack(Counter(), budget, ledger).chat(asked(most=10))
    assert budget.remaining()["tokens"].spent == most_prompt_tokens(asked()) + 10


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_no_byte_level_tokenizer_makes_more_tokens_than_are_reserved(texts: list[str]) -> None:
    messages = tuple(Message("user", text.encode("utf-8", "replace").decode()) for text in texts)
    request = ChatRequest(model="m", messages=messages, max_tokens=1)
    assert most_prompt_tokens(request) >= sum(len(m.content.encode()) for m in messages)


async def test_what_is_reserved_is_there_for_the_final_test(path: Path) -> None:
    server = Counter(Usage(10, 10))
    async with Ledger.open(path) as ledger:
        budget = Budget(Caps(calls=50))
        budget.reserve(20)
        client = stack(server, budget, ledger)
        assert await ask_many(client, range(100), at_once=16) == (30, 70, 0)
        assert budget.path_spent() == Amounts(calls=30, tokens=600)
        with pytest.raises(BudgetReached, match="30 of 50 calls spent, 20 calls are reserved for the final"):
            await client.chat(asked(100))
        budget.release()
        assert await ask_many(client, range(100, 120), at_once=16) == (20, 0, 0)


async def test_tokens_are_reserved_in_proportion(path: Path) -> None:
    server = Counter(Usage(40, 10))
    async with Ledger.open(path) as ledger:
        budget = Budget(Caps(tokens=5_000))
        budget.reserve(50)
        client = stack(server, budget, ledger)
        answered, _, _ = await ask_many(client, range(100), at_once=8)
        assert 42 <= answered <= 45  # of 100 such calls, less a tenth of the 50 reserved
        budget.release()
        assert await ask_many(client, range(100, 140), at_once=8) == (40, 0, 0)


async def test_the_first_calls_of_a_run_do_not_say_what_later_ones_will_cost(path: Path) -> None:
    """One dear call of the reference LLM, before the many cheap ones, ends no search."""
    server = Counter(Usage(4_000, 1_000))
    async with Ledger.open(path) as ledger:
        budget = Budget(Caps(tokens=100_000))
        budget.reserve(100)
        client = stack(server, budget, ledger)
        await client.chat(asked(0))
        server.usage = Usage(40, 10)
        assert (await ask_many(client, range(1, 100), at_once=1))[0] == 99


async def test_of_minutes_at_most_half_is_reserved_for_how_long_calls_take_is_known_only_roughly(
    path: Path,
) -> None:
    now = [0.0]
    async with Ledger.open(path) as ledger:
        budget = Budget(Caps(minutes=10), clock=lambda: now[0])
        budget.reserve(100_000)
        client = stack(Counter(), budget, ledger)
        await ask_many(client, range(40), at_once=8)
        now[0] = 290
        await client.chat(asked(50))
        now[0] = 310
        with pytest.raises(BudgetReached, match=r"budget\.minutes"):
            await client.chat(asked(51))
        budget.release()
        await client.chat(asked(51))


async def test_minutes_count_over_invocations_and_stop_what_would_be_sent_but_no_replay(path: Path) -> None:
    server = Counter()
    now = [0.0]
    async with Ledger.open(path) as ledger:
        budget = Budget(Caps(minutes=2), clock=lambda: now[0])
        budget.resume(paid=Amounts(), seconds=60)
        client = stack(server, budget, ledger)
        await client.chat(asked(1))
        now[0] = 61
        assert (await client.chat(asked(1))).replayed
        with pytest.raises(BudgetReached, match=r"budget\.minutes"):
            await client.chat(asked(2))
    assert server.served == 1


async def test_whoever_is_refused_hears_of_it_when_nothing_is_in_flight_any_more(path: Path) -> None:
    async def run() -> None:
        async with Ledger.open(path) as ledger, anyio.create_task_group() as tasks:
            client = stack(Counter(), Budget(Caps(calls=40)), ledger)
            for number in range(100):
                tasks.start_soon(client.chat, asked(number))

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert caught.group_contains(BudgetReached)
    async with Ledger.open(path) as ledger:
        assert ledger.earlier.failed_attempts == 0  # no call in flight was cut short
        assert sum(row.attempts for row in ledger.earlier.paid) == 40


async def test_a_call_that_was_never_sent_gives_its_reservation_back(path: Path) -> None:
    class Closed(Layer):
        async def send(self, call: Call) -> ChatResponse:
            raise RateLimited("the circuit is open")

    async with Ledger.open(path) as ledger:
        budget = Budget(Caps(calls=5))
        ledgered = LedgeredClient(Closed(), ledger, "e", admit=budget.admit)
        client = BudgetedClient(ledgered, budget, FREE, Tally())
        assert await ask_many(client, range(50), at_once=8) == (0, 0, 50)
    assert budget.remaining()["calls"].spent == 0


async def test_the_refusal_names_the_cap_its_value_and_how_to_go_on(path: Path) -> None:
    async with Ledger.open(path) as ledger:
        client = stack(Counter(), Budget(Caps(calls=1)), ledger)
        await client.chat(asked(1))
        with pytest.raises(
            BudgetReached, match=r"budget\.calls is reached: 1 of 1 .* raise budget\.calls and run"
        ):
            await client.chat(asked(2))


async def test_a_refusal_names_the_same_calls_in_every_invocation(path: Path) -> None:
    """Whether the final test was made before, and whatever was in flight when a retry was refused."""
    refusal = "20 of 30 calls spent, 10 calls are reserved for the final test"
    server = Counter(fails=lambda number: number == 3)
    async with Ledger.open(path) as ledger:
        budget = budget_over(ledger, Caps(calls=30))
        budget.reserve(10)
        client = stack(server, budget, ledger, attempts=2)
        assert (await ask_many(client, range(25), at_once=8))[0] == 19
        with pytest.raises(BudgetReached, match=refusal):
            await client.chat(asked(25))
        budget.release()
        assert (await ask_many(client, range(25, 40), at_once=8))[0] == 10
    async with Ledger.open(path) as ledger:
        budget = budget_over(ledger, Caps(calls=30))
        budget.reserve(10)
        client = stack(server, budget, ledger)
        await client.chat(asked(0))
        with pytest.raises(BudgetReached, match=refusal):
            await client.chat(asked(100))


async def test_a_refused_retry_counts_the_calls_in_flight(path: Path) -> None:
    all_sent = anyio.Event()

    class Server:
        """The first call fails once the second is in flight."""

        async def chat(self, request: ChatRequest) -> ChatResponse:
            if request.sample == 1:
                await all_sent.wait()
                raise RateLimited("busy")
            all_sent.set()
            await anyio.sleep(0.01)
            return ChatResponse(text="B")

    async with Ledger.open(path) as ledger:
        client = stack(Server(), Budget(Caps(calls=2)), ledger, attempts=2)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.chat, asked(2))
            with anyio.fail_after(60), pytest.raises(BudgetReached, match="2 of 2 calls spent"):
                await client.chat(asked(1))


async def test_without_caps_nothing_is_refused(path: Path) -> None:
    async with Ledger.open(path) as ledger:
        budget = Budget(Caps())
        assert await ask_many(stack(Counter(), budget, ledger), range(300), at_once=64) == (300, 0, 0)
    assert {cap: left.left for cap, left in budget.remaining().items()} == dict.fromkeys(
        ("calls", "tokens", "usd", "minutes")
    )
