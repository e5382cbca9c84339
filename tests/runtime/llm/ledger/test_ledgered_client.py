"""Nothing is paid twice: replay, joining of equal calls, take-over, failures, the shared ledger."""

from collections.abc import Awaitable
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from transfer_prompting.runtime.errors import BudgetReached, CallFailed, ContextTooLong, RateLimited
from transfer_prompting.runtime.llm._call import Call, Layer, Sender, most_usage
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message, Usage
from transfer_prompting.runtime.llm.ledger.ledger import Ledger
from transfer_prompting.runtime.llm.ledger.replay import LedgeredClient

HERE = "http://host/v1"


class Door:
    """Answers when it is opened, or at once when it stands open; counts who came."""

    def __init__(self, *, open_: bool = True) -> None:
        self.came = 0
        self.fails: list[CallFailed] = []
        self.entered = anyio.Event()
        self.opened = anyio.Event()
        if open_:
            self.opened.set()

    async def chat(self, request: ChatRequest) -> ChatResponse:
        self.came += 1
        number = self.came
        self.entered.set()
        await self.opened.wait()
        if self.fails:
            raise self.fails.pop(0)
        text = f"answer {number} to {request.messages[0].content}"
        return ChatResponse(text=text, usage=Usage(10, 5), attempts=2)


def asked(text: str = "What?", sample: int = 0) -> ChatRequest:
    return ChatRequest(model="m", messages=(Message("user", text),), max_tokens=9, sample=sample)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


async def test_a_finished_call_is_replayed_and_never_sent_again(path: Path) -> None:
    door = Door()
    async with Ledger.open(path) as ledger:
        client = LedgeredClient(Sender(door), ledger, HERE)
        first, again = await client.chat(asked()), await client.chat(asked())
    async with Ledger.open(path) as ledger:
        resumed = await LedgeredClient(Sender(door), ledger, HERE).chat(asked())
    assert door.came == 1
    assert not first.replayed
    assert again == resumed == replace(first, replayed=True)


async def test_different_samples_and_endpoints_are_different_calls(path: Path) -> None:
    door = Door()
    async with Ledger.open(path) as ledger:
        here, there = (
            LedgeredClient(Sender(door), ledger, HERE),
            LedgeredClient(Sender(door), ledger, "http://there/v1"),
        )
        for client, request in ((here, asked()), (here, asked(sample=1)), (there, asked())):
            await client.chat(request)
    assert door.came == 3


async def test_equal_calls_in_flight_are_sent_once(path: Path) -> None:
    door = Door(open_=False)
    responses: list[ChatResponse] = []

    async def ask(client: LedgeredClient) -> None:
        responses.append(await client.chat(asked()))

    with anyio.fail_after(5):
        async with Ledger.open(path) as ledger, anyio.create_task_group() as tasks:
            for _ in range(10):  # two clients of one ledger join as well
                tasks.start_soon(ask, LedgeredClient(Sender(door), ledger, HERE))
            await door.entered.wait()
            await anyio.wait_all_tasks_blocked()
            door.opened.set()
    assert door.came == 1
    assert {response.text for response in responses} == {"answer 1 to What?"}
    assert sorted(response.replayed for response in responses) == [False] + [True] * 9


async def test_when_the_first_of_equal_calls_is_cancelled_another_takes_over(path: Path) -> None:
    door = Door(open_=False)
    responses: list[ChatResponse] = []
    first = anyio.CancelScope()

    async def ask(client: LedgeredClient, scope: anyio.CancelScope) -> None:
        with scope:
            responses.append(await client.chat(asked()))

    with anyio.fail_after(5):
        async with Ledger.open(path) as ledger, anyio.create_task_group() as tasks:
            client = LedgeredClient(Sender(door), ledger, HERE)
            tasks.start_soon(ask, client, first)
            await door.entered.wait()
            for _ in range(3):
                tasks.start_soon(ask, client, anyio.CancelScope())
            await anyio.wait_all_tasks_blocked()
            first.cancel()
            await anyio.wait_all_tasks_blocked()
            assert door.came == 2
            door.opened.set()
    assert sorted(response.replayed for response in responses) == [False, True, True]


async def test_each_of_equal_calls_fails_on_its_own(path: Path) -> None:
    door = Door(open_=False)
    door.fails = [RateLimited("busy"), RateLimited("busy")]
    ends: list[str] = []

    async def ask(client: LedgeredClient) -> None:
        try:
            ends.append((await client.chat(asked())).text)
        except RateLimited:
            ends.append("failed")

    with anyio.fail_after(5):
        async with Ledger.open(path) as ledger, anyio.create_task_group() as tasks:
            client = LedgeredClient(Sender(door), ledger, HERE)
            for _ in range(4):
                tasks.start_soon(ask, client)
            await door.entered.wait()
            await anyio.wait_all_tasks_blocked()
            door.opened.set()
    assert ends == ["failed", "failed", "answer 3 to What?", "answer 3 to What?"]


async def test_a_failed_call_is_counted_and_tried_again_by_the_next_invocation(path: Path) -> None:
    door = Door()
    door.fails = [RateLimited("busy")]
    async with Ledger.open(path) as ledger:
        client = LedgeredClient(Sender(door), ledger, HERE)
        with pytest.raises(RateLimited):
            await client.chat(asked())
    async with Ledger.open(path) as ledger:
        assert (len(ledger.earlier.failed), ledger.earlier.failed_attempts) == (1, 1)
        response = await LedgeredClient(Sender(door), ledger, HERE).chat(asked())
    assert not response.replayed


class Full(Layer):
    """A layer that lets no call through."""

    async def send(self, call: Call) -> ChatResponse:
        await anyio.sleep_forever()
        raise AssertionError


async def test_a_call_cut_short_before_it_was_sent_counts_for_nothing(path: Path) -> None:
    async with Ledger.open(path) as ledger:
        client = LedgeredClient(Full(), ledger, HERE)
        with anyio.move_on_after(0.01):
            await client.chat(asked())
    async with Ledger.open(path) as ledger:
        assert ledger.earlier.failed_attempts == 0


async def test_a_call_cut_short_on_its_way_counts_as_spent(path: Path) -> None:
    async with Ledger.open(path) as ledger:
        client = LedgeredClient(Sender(Door(open_=False)), ledger, HERE)
        with anyio.move_on_after(0.01):
            await client.chat(asked())
    async with Ledger.open(path) as ledger:
        assert ledger.earlier.failed_attempts == 1
        (spent,) = ledger.earlier.failed.values()
    assert spent.most == most_usage(asked())  # it may have been billed


async def test_a_prompt_too_long_for_the_context_is_not_sent_again(path: Path) -> None:
    door = Door()
    door.fails = [ContextTooLong("does not fit")]
    for _ in range(2):
        async with Ledger.open(path) as ledger:
            client = LedgeredClient(Sender(door), ledger, HERE)
            with pytest.raises(ContextTooLong, match="does not fit"):
                await client.chat(asked())
    assert door.came == 1


def refuse(_call: Call) -> Awaitable[None] | None:
    raise BudgetReached("enough")


async def test_replays_are_admitted_unasked_and_new_calls_are_not_sent_when_refused(path: Path) -> None:
    door = Door()
    async with Ledger.open(path) as ledger:
        await LedgeredClient(Sender(door), ledger, HERE).chat(asked())
        client = LedgeredClient(Sender(door), ledger, HERE, admit=refuse)
        assert (await client.chat(asked())).replayed
        with pytest.raises(BudgetReached):
            await client.chat(asked("new"))
    assert door.came == 1


async def test_under_a_spent_budget_a_failed_call_fails_again_as_it_did(path: Path) -> None:
    door = Door()
    door.fails = [RateLimited("busy")]
    async with Ledger.open(path) as ledger:
        client = LedgeredClient(Sender(door), ledger, HERE)
        with pytest.raises(RateLimited, match="busy"):
            await client.chat(asked())
    async with Ledger.open(path) as ledger:
        with pytest.raises(RateLimited, match="busy") as raised:
            await LedgeredClient(Sender(door), ledger, HERE, admit=refuse).chat(asked())
    assert isinstance(raised.value.__cause__, BudgetReached)
    assert door.came == 1


async def test_a_shared_ledger_answers_other_runs_and_is_copied_into_theirs(tmp_path: Path) -> None:
    door = Door()
    cache = tmp_path / "cache.sqlite"

    async def run(own: Path, shared: Path | None) -> ChatResponse:
        async with Ledger.open(own) as ledger:
            if shared is None:
                return await LedgeredClient(Sender(door), ledger, HERE).chat(asked())
            async with Ledger.open(shared, shared=True) as common:
                return await LedgeredClient(Sender(door), ledger, HERE, common).chat(asked())

    paid = await run(tmp_path / "a.sqlite", cache)
    shared = await run(tmp_path / "b.sqlite", cache)
    alone = await run(tmp_path / "b.sqlite", None)
    assert door.came == 1
    assert (paid.replayed, paid.attempts) == (False, 2)
    assert shared == alone == replace(paid, replayed=True, attempts=1)
    async with Ledger.open(tmp_path / "b.sqlite") as ledger:
        assert ledger.earlier.paid == ()


async def test_nothing_of_finished_calls_stays_in_memory(path: Path) -> None:
    async with Ledger.open(path) as ledger:
        client = LedgeredClient(Sender(Door()), ledger, HERE)
        for i in range(50):
            await client.chat(asked(str(i)))
        assert ledger.in_flight == {}


async def test_what_earlier_attempts_cost_counts_on_the_path_of_the_call_that_is_made_again(
    path: Path,
) -> None:
    door = Door()
    door.fails = [RateLimited("busy", attempts=3)]
    async with Ledger.open(path) as ledger:
        with pytest.raises(RateLimited):
            await LedgeredClient(Sender(door), ledger, HERE).chat(asked())
    async with Ledger.open(path) as ledger:
        client = LedgeredClient(Sender(door), ledger, HERE)
        for earlier, text in ((3, "What?"), (0, "What?"), (0, "Else?")):
            call = Call(asked(text))
            await client.send(call)
            assert call.earlier.attempts == earlier


async def test_an_admission_that_waits_is_waited_for(path: Path) -> None:
    door, admitted = Door(), anyio.Event()
    async with Ledger.open(path) as ledger, anyio.create_task_group() as tasks:
        client = LedgeredClient(Sender(door), ledger, HERE, admit=lambda call: admitted.wait())  # pyright: ignore[reportArgumentType]
        tasks.start_soon(client.chat, asked())
        await anyio.wait_all_tasks_blocked()
        assert door.came == 0
        admitted.set()
    assert door.came == 1


async def test_an_answer_is_recorded_and_handed_on_though_its_caller_is_cancelled(path: Path) -> None:
    scope, answers = anyio.CancelScope(), list[ChatResponse]()

    class Cancelling(Door):
        async def chat(self, request: ChatRequest) -> ChatResponse:
            response = await super().chat(request)
            scope.cancel()
            return response

    async with Ledger.open(path) as ledger:
        client = LedgeredClient(Sender(Cancelling()), ledger, HERE)
        with scope:
            answers.append(await client.chat(asked()))
        assert [answer.text for answer in answers] == ["answer 1 to What?"]
        assert (await client.chat(asked())).replayed
