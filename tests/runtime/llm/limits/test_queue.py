"""Those who wait for an endpoint: their order, their pauses, and what becomes of them when one goes away."""

import random
from collections.abc import Callable, Coroutine
from contextlib import suppress

import anyio
import pytest

from transfer_prompting.runtime.errors import CallFailed, RateLimited, ServerFault
from transfer_prompting.runtime.llm._call import Sender
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Usage
from transfer_prompting.runtime.llm.limits.limiter import LimitedClient, Limiter
from transfer_prompting.scenarios.endpoints import Limits

from support.limited_server import LimitedServer
from support.load import Calls, Load, asking, limiter, settled
from support.virtual_time import VirtualClock, in_virtual_time


def in_time(test: Callable[[], Coroutine[None, None, None]]) -> None:
    in_virtual_time(test)


def test_a_burst_of_refusals_is_one_episode_and_pauses_everybody():
    async def test() -> None:
        calls, limits = Calls(), limiter(concurrency=8)
        client = LimitedClient(Sender(calls), limits)
        async with anyio.create_task_group() as tasks:
            for name in "abcdefgh":
                calls.errors[name] = RateLimited("x", retry_after=5)
                tasks.start_soon(outcome, client, name)
            await settled()
            for name in "abcdefgh":
                calls.ends[name].set()
            await settled()
            now = limits.now()
            assert (now.rejections, now.episodes, now.window) == (8, 1, 8)
            assert now.paused_for == pytest.approx(5, abs=0.01)
            tasks.start_soon(outcome, client, "late")
            await anyio.sleep(4.9)
            assert "late" not in calls.started
            await anyio.sleep(0.2)
            assert "late" in calls.started
            tasks.cancel_scope.cancel()

    in_time(test)


async def outcome(client: LimitedClient, name: str) -> None:
    with suppress(CallFailed):
        await client.chat(asking(name))


def test_overload_without_a_word_on_when_to_return_shrinks_the_window_once():
    async def test() -> None:
        calls, limits = Calls(), limiter(concurrency=10)
        client = LimitedClient(Sender(calls), limits)
        async with anyio.create_task_group() as tasks:
            for name in "abcdefghij":
                calls.errors[name] = ServerFault("busy", status=503)
                tasks.start_soon(outcome, client, name)
            await settled()
            for name in "abcdefghij":
                calls.ends[name].set()
        assert limits.now().window == 7

    in_time(test)


@pytest.mark.parametrize("rpm", [None, 600])
def test_calls_start_in_the_order_in_which_they_were_asked(rpm: int | None):
    server = LimitedServer(per_minute=1e9, burst=1e9)
    names = [f"{i:03}" for i in range(60)]

    async def main() -> None:
        client = LimitedClient(Sender(server), limiter(concurrency=3, rpm=rpm))
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(client.chat, asking(name))

    in_virtual_time(main)
    behind = [abs(names.index(text) - place) for place, text in enumerate(server.texts)]
    assert max(behind) <= 2  # the network may swap those in flight together


def test_two_who_share_a_limiter_get_even_shares():
    counts = {"a": 0, "b": 0}
    server = LimitedServer(per_minute=600, burst=10)

    async def main() -> None:
        client = LimitedClient(Sender(server), limiter(rpm=600))

        async def work(who: str) -> None:
            while True:
                await client.chat(asking(who))
                counts[who] += 1

        with anyio.move_on_after(60):
            async with anyio.create_task_group() as tasks:
                for who in "ab" * 20:
                    tasks.start_soon(work, who)

    in_virtual_time(main)
    assert counts["a"] == pytest.approx(counts["b"], rel=0.1)


def test_a_cancelled_call_frees_its_place_and_a_cancelled_waiter_its_turn():
    async def test() -> None:
        calls, limits = Calls(), limiter(concurrency=1)
        client = LimitedClient(Sender(calls), limits)
        async with anyio.create_task_group() as tasks:
            scopes = {name: anyio.CancelScope() for name in "abc"}

            async def ask(name: str) -> None:
                with scopes[name]:
                    await client.chat(asking(name))

            for name in "abc":
                tasks.start_soon(ask, name)
            await settled()
            assert (calls.started, limits.now().waiting) == (["a"], 2)
            scopes["b"].cancel()
            await settled()
            assert limits.now().waiting == 1
            scopes["a"].cancel()
            await settled()
            assert calls.started == ["a", "c"]
            calls.ends["c"].set()
        assert (limits.now().in_flight, limits.now().waiting) == (0, 0)

    in_time(test)


def test_a_turn_given_to_a_call_that_is_cancelled_at_the_same_moment_goes_to_the_next():
    async def test() -> None:
        calls, limits = Calls(), limiter(concurrency=1)
        client = LimitedClient(Sender(calls), limits)
        scope = anyio.CancelScope()

        async def abandoned() -> None:
            with scope:
                await client.chat(asking("b"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.chat, asking("a"))
            await settled()
            tasks.start_soon(abandoned)
            await settled()
            tasks.start_soon(client.chat, asking("c"))
            await settled()
            calls.ends["a"].set()
            scope.cancel()
            await settled()
            assert calls.started[-1] == "c"
            calls.ends["c"].set()
        assert limits.now().in_flight == 0

    in_time(test)


def test_the_first_in_line_who_goes_away_does_not_stop_the_others():
    async def test() -> None:
        server = LimitedServer(per_minute=1e9, burst=1e9)
        client = LimitedClient(Sender(server), limiter(rpm=60))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.chat, asking("first"))
            await settled()
            with anyio.move_on_after(0.5):
                await client.chat(asking("impatient"))
            await client.chat(asking("patient"))
        assert server.texts == ["first", "patient"]

    in_time(test)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_among_refusals_faults_and_cancellations(seed: int):
    rng = random.Random(seed)
    server = LimitedServer(per_minute=6000, burst=20)
    limits = limiter(concurrency=7, rpm=rng.choice([None, 3000]), tpm=rng.choice([None, 60_000]))
    load = Load(server, limits)
    ended = 0

    async def main() -> None:
        async def one(patience: float) -> None:
            nonlocal ended
            with anyio.move_on_after(patience):
                await load.client.chat(asking())
            ended += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(300):
                tasks.start_soon(one, rng.choice([0.01, 0.3, 1e4]))

    in_virtual_time(main)
    assert ended == 300
    assert (limits.now().in_flight, limits.now().waiting) == (0, 0)


def test_a_pause_longer_than_anyone_may_wait_fails_those_who_wait_at_once():
    async def test() -> None:
        calls = Calls()
        limits = Limiter(Limits(concurrency=1), VirtualClock(), patience=60)
        client = LimitedClient(Sender(calls), limits)
        calls.errors["a"] = RateLimited("daily quota", retry_after=3600)
        errors: dict[str, RateLimited] = {}

        async def ask(name: str) -> None:
            try:
                await client.chat(asking(name))
            except RateLimited as error:
                errors[name] = error

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "a")
            await settled()
            tasks.start_soon(ask, "b")
            await settled()
            calls.ends["a"].set()
            await settled()
            await ask("c")
            assert anyio.current_time() < 1
        assert sorted(errors) == ["a", "b", "c"]
        for name in "bc":
            assert "daily quota" in str(errors[name])
            assert errors[name].attempts == 0
            assert errors[name].retry_after == pytest.approx(3600, abs=1)

    in_time(test)


class Starts:
    """Notes when each call starts and answers it after some seconds (`first`: the first one), with a usage of
    ten tokens."""

    def __init__(self, seconds: float, first: float | None = None) -> None:
        self.seconds = seconds
        self.first = first or seconds
        self.at: dict[str, float] = {}

    async def chat(self, request: ChatRequest) -> ChatResponse:
        seconds = self.seconds if self.at else self.first
        self.at[request.messages[0].content[:1]] = anyio.current_time()
        await anyio.sleep(seconds)
        return ChatResponse(text="ok", usage=Usage(5, 5), seconds=seconds)


def started(client: Starts, limits: Limiter, *texts: str) -> dict[str, float]:
    """When calls that are asked for at once have started, each with an estimate of 0.3 tokens a character."""

    async def main() -> None:
        limited = LimitedClient(Sender(client), limits)
        async with anyio.create_task_group() as tasks:
            for text in texts:
                tasks.start_soon(limited.chat, asking(text, max_tokens=1))
                await settled()

    in_virtual_time(main)
    return client.at


def test_calls_that_wait_for_a_rate_start_evenly():
    found = started(Starts(60), limiter(rpm=600), *"abcd")
    assert list(found.values()) == pytest.approx([number / 9.85 for number in range(4)], abs=1e-3)


def test_tokens_that_were_not_used_let_the_next_start_sooner_and_those_behind_it_in_their_turn():
    """A call of 985 tokens, by its length, takes the rate of 98.5 a second for ten seconds."""
    long = "x" * 3276
    found = started(Starts(1), limiter(tpm=6000), f"a{long}", f"b{long}", f"c{long}", "d")
    assert [round(found[name], 1) for name in "abcd"] == [0, 1, 2, 3]
    found = started(Starts(60), limiter(tpm=6000), f"a{long}", f"b{long}", f"c{long}", "d")
    assert [round(found[name]) for name in "abcd"] == [0, 10, 20, 30]
    found = started(Starts(60, first=1), limiter(tpm=6000), f"a{long}", f"b{long}", f"c{long}", "d")
    assert [round(found[name]) for name in "abcd"] == [0, 1, 11, 21]


def test_the_tokens_of_a_turn_that_was_given_back_delay_nobody():
    async def test() -> None:
        calls, limits = Calls(), limiter(concurrency=1, tpm=6000)
        client = LimitedClient(Sender(calls), limits)
        scope = anyio.CancelScope()

        async def abandoned() -> None:
            with scope:
                await client.chat(asking("b" * 3276))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.chat, asking("a"))
            await anyio.sleep(1)
            tasks.start_soon(abandoned)
            await settled()
            tasks.start_soon(client.chat, asking("c"))
            await settled()
            calls.ends["a"].set()
            scope.cancel()
            await settled()
            assert calls.started == ["a", "c"]
            calls.ends["c"].set()

    in_time(test)


def test_a_short_pause_late_in_a_run_is_waited_for():
    async def test() -> None:
        await anyio.sleep(4000)
        calls, limits = Calls(), limiter(concurrency=1)
        client = LimitedClient(Sender(calls), limits)
        calls.errors["a"] = RateLimited("x", retry_after=5)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outcome, client, "a")
            await settled()
            tasks.start_soon(client.chat, asking("b"))
            await settled()
            calls.ends["a"].set()
            await anyio.sleep(5.1)
            assert calls.started[-1] == "b"
            calls.ends["b"].set()

    in_time(test)
