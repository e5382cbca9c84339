"""Calls are kept within what an endpoint allows, declared, stated or learned."""

import random
from functools import partial

import anyio
import pytest

from transfer_prompting.runtime.errors import RateLimited
from transfer_prompting.runtime.llm._call import Sender
from transfer_prompting.runtime.llm.chat import ChatClient, ChatRequest, ChatResponse, Usage
from transfer_prompting.runtime.llm.http._refusals import Quota, RateSheet
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.runtime.llm.limits.limiter import LimitedClient, Limiter, Limiters
from transfer_prompting.runtime.llm.retries import RetryingClient
from transfer_prompting.scenarios.endpoints import Limits, Retry

from support.chat_server import chat_server
from support.limited_server import LimitedServer
from support.load import Load, asking, limiter
from support.virtual_time import VirtualClock, in_virtual_time


def test_a_declared_limit_is_used_and_never_passed():
    server = LimitedServer(per_minute=1000, burst=17)
    load = Load(server, limiter(rpm=1000)).run(120, workers=128)
    assert server.rejected == []
    assert load.failed == 0
    assert server.served >= 0.95 * 2000


def test_declared_calls_are_spread_evenly_from_the_start():
    server = LimitedServer(per_minute=1000, burst=1000)
    Load(server, limiter(rpm=1000)).run(6, workers=128)
    assert 90 <= server.served <= 102


def test_a_declared_token_limit_is_used_and_never_passed():
    server = LimitedServer(per_minute=60_000, burst=2_000, counts_tokens=True, usage=Usage(300, 20))
    request = asking("word " * 200, max_tokens=20)
    load = Load(server, limiter(tpm=60_000), request).run(120, workers=128)
    assert server.rejected == []
    assert load.failed == 0
    assert server.served * 320 >= 0.93 * 120_000


@pytest.mark.parametrize("burst", [5, 17, 100, 1000])
@pytest.mark.parametrize("retry_after", [True, False])
def test_an_undeclared_limit_is_learned_from_the_refusals(burst: int, retry_after: bool):
    server = LimitedServer(per_minute=1000, burst=burst, retry_after=retry_after)
    load = Load(server, limiter()).run(90, workers=128)
    assert load.failed == 0
    assert len(server.rejected) < 0.03 * server.served
    assert server.served - burst >= 0.85 * 1500
    if retry_after:
        assert server.early == 0


def test_a_limit_is_learned_where_calls_take_long():
    server = LimitedServer(per_minute=600, burst=20, latency=3)
    load = Load(server, limiter()).run(120, workers=128)
    assert load.failed == 0
    assert len(server.rejected) < 0.03 * server.served
    assert server.served >= 0.85 * 1200


def test_a_limit_that_is_lowered_and_raised_is_followed():
    server = LimitedServer(per_minute=1000, burst=17)
    limits = limiter()
    load = Load(server, limits)

    async def main() -> list[int]:
        counts: list[int] = []
        async with anyio.create_task_group() as tasks:
            for _ in range(128):
                tasks.start_soon(load.work)
            for per_minute in (1000, 300, 3000):
                server.per_minute = per_minute
                before = server.served
                await anyio.sleep(180)
                counts.append(server.served - before)
            tasks.cancel_scope.cancel()
        return counts

    first, lowered, raised = in_virtual_time(main)
    assert first >= 0.9 * 3000
    assert lowered >= 0.8 * 900
    assert raised >= 0.4 * 9000
    assert load.failed == 0
    assert len(server.rejected) < 0.03 * server.served


def test_the_window_grows_to_the_declared_concurrency_while_it_is_what_limits():
    server = LimitedServer(per_minute=1e9, burst=1e9)
    limits = limiter(concurrency=100)
    Load(server, limits).run(2, workers=300)
    assert limits.now().window == 100 == server.most_at_once


def test_no_more_calls_are_in_flight_than_declared():
    server = LimitedServer(per_minute=1e9, burst=1e9)
    Load(server, limiter(concurrency=5)).run(2, workers=50)
    assert server.most_at_once == 5


def test_a_limit_stated_in_headers_is_kept_like_a_declared_one():
    server = LimitedServer(per_minute=600, burst=20)
    limits = limiter()
    limits.stated(RateSheet(requests=Quota(600, 590, 1)))
    Load(server, limits).run(60, workers=128)
    assert server.rejected == []
    assert server.served >= 0.95 * 600


def test_of_a_declared_and_a_stated_limit_the_lower_one_holds():
    for declared, stated, kept in ((600, 6000, 600), (6000, 600, 600)):
        limits = limiter(rpm=declared)
        limits.stated(RateSheet(requests=Quota(stated)))
        assert limits.now().requests_per_minute == pytest.approx(kept, rel=0.02)


def test_models_of_one_endpoint_have_limiters_of_their_own():
    limiters = Limiters(Limits(concurrency=3), VirtualClock())
    limiters.stated("small", RateSheet(requests=Quota(60)))
    assert limiters.of("small") is limiters.of("small")
    assert limiters.of("small") is not limiters.of("large")
    rates = [limiters.of(model).now().requests_per_minute for model in ("small", "large")]
    assert rates == [pytest.approx(60, rel=0.02), None]


async def test_over_http_a_refused_client_comes_back_no_earlier_than_asked_and_loses_nothing():
    async with (
        chat_server(requests_per_minute=1200, burst=5) as server,
        AiohttpClient(server.base_url) as inner,
    ):
        client = RetryingClient(LimitedClient(Sender(inner), Limiter(Limits(concurrency=16))), Retry())
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(client.chat, asking())
    assert server.count == 20 + server.rejected
    first = server.requests[0].at
    later = [seen.at for seen in server.requests if seen.at > first + 0.5]
    assert later
    assert min(later) >= first + 1


class NoisyServer:
    """Refuses one call in ten at random, whatever the rate, and asks to wait for a second; `at_once`: before
    any time has passed."""

    def __init__(self, share: float = 0.1, seed: int = 7, *, at_once: bool = False) -> None:
        self.share = share
        self.served = 0
        self._at_once = at_once
        self._random = random.Random(seed)

    async def chat(self, request: ChatRequest) -> ChatResponse:
        refused = self._random.random() < self.share
        if not (refused and self._at_once):
            await anyio.sleep(0.05)
        if refused:
            raise RateLimited("try again", retry_after=1, status=429)
        self.served += 1
        return ChatResponse(text="ok", usage=Usage(10, 5), seconds=0.05)


def test_refusals_at_random_do_not_undercut_a_declared_rate():
    server = NoisyServer()
    load = Load(server, limiter(rpm=6000)).run(30, workers=128)
    assert load.failed == 0
    # Within the declared rate: one call in ten is sent again.
    assert server.served >= 0.8 * 3000 * 0.9


@pytest.mark.parametrize("seed", range(4))
def test_refusals_at_random_do_not_look_like_a_limit_that_has_to_be_learned(seed: int):
    """Plain retries at this concurrency serve some 400 calls a second."""
    server = NoisyServer(seed=seed)
    load = Load(server, limiter()).run(60, workers=64)
    assert load.failed == 0
    assert server.served >= 0.5 * 60 * 400


async def finish(client: ChatClient, calls: int) -> float:
    """Seconds until so many calls, all asked for at once, are answered."""
    async with anyio.create_task_group() as tasks:
        for _ in range(calls):
            tasks.start_soon(client.chat, asking())
    return anyio.current_time()


class PlainClient:
    """Keeps to a concurrency and a rate, and repeats a refused call after its Retry-After, as SDKs do."""

    def __init__(self, server: ChatClient, concurrency: int, rpm: int | None) -> None:
        self._server = server
        self._places = anyio.Semaphore(concurrency)
        self._gap = 0.0 if rpm is None else 60 / rpm
        self._next = 0.0

    async def chat(self, request: ChatRequest) -> ChatResponse:
        async with self._places:
            while True:
                self._next = max(self._next + self._gap, anyio.current_time())
                await anyio.sleep_until(self._next)
                try:
                    return await self._server.chat(request)
                except RateLimited as error:
                    await anyio.sleep(error.retry_after or 0)


@pytest.mark.parametrize("rpm", [None, 6000])
@pytest.mark.parametrize("concurrency", [4, 16, 64])
def test_a_short_job_is_as_quick_among_random_refusals_as_with_plain_retries(
    concurrency: int, rpm: int | None
):
    ours = plain = 0.0
    for seed in range(4):
        load = Load(NoisyServer(seed=seed), limiter(concurrency, rpm=rpm))
        ours += in_virtual_time(partial(finish, load.client, 300))
        plain += in_virtual_time(partial(_finish_plainly, seed, concurrency, rpm))
    assert plain >= 0.7 * ours


async def _finish_plainly(seed: int, concurrency: int, rpm: int | None) -> float:
    return await finish(PlainClient(NoisyServer(seed=seed), concurrency, rpm), 300)


@pytest.mark.parametrize("concurrency", [4, 16, 64])
def test_random_refusals_that_come_at_once_are_told_from_a_limit_under_every_seed(concurrency: int):
    """No other call is in flight then whose outcome would tell: a few are sent to find out."""
    shares: list[float] = []
    for seed in range(8):
        load = Load(NoisyServer(seed=seed, at_once=True), limiter(concurrency))
        ours = in_virtual_time(partial(finish, load.client, 300))
        server = NoisyServer(seed=seed, at_once=True)
        plain = in_virtual_time(partial(finish, PlainClient(server, concurrency, None), 300))
        shares.append(plain / ours)
        assert load.failed == 0
    assert min(shares) >= 0.5, shares
    assert sum(shares) / len(shares) >= 0.7, shares


def test_a_limit_whose_refusals_come_at_once_is_learned_after_few_more():
    server = LimitedServer(per_minute=600, burst=10, travel=0)
    load = Load(server, limiter()).run(60, workers=16)
    assert load.failed == 0
    assert server.served - 10 >= 0.8 * 600
    assert len(server.rejected) < 0.05 * server.served


def test_an_endpoint_that_refused_at_random_and_then_limits_is_found_out():
    server = LimitedServer(per_minute=1e9, burst=1e9)
    noise = NoisyServer()

    class Both:
        async def chat(self, request: ChatRequest) -> ChatResponse:
            await noise.chat(request)
            return await server.chat(request)

    load = Load(Both(), limiter())

    async def main() -> int:
        before = refused = 0
        async with anyio.create_task_group() as tasks:
            for _ in range(64):
                tasks.start_soon(load.work)
            await anyio.sleep(20)
            assert server.served > 20 * 200
            noise.share, server.per_minute, server.burst = 0.0, 600, 10
            before, refused = server.served, len(server.rejected)
            await anyio.sleep(120)
            tasks.cancel_scope.cancel()
        assert len(server.rejected) - refused < 0.1 * 1200
        return server.served - before

    assert in_virtual_time(main) >= 0.8 * 1200
    assert load.failed == 0


def test_a_server_that_refuses_most_calls_is_not_taken_for_a_noisy_one():
    server = NoisyServer(0.8)
    load = Load(server, limiter())
    load.run(60, workers=64)
    assert load.limits.now().rejections < 60 * 10


def test_a_declared_rate_that_is_too_high_is_found_out():
    server = LimitedServer(per_minute=600, burst=10)
    load = Load(server, limiter(rpm=6000)).run(120, workers=128)
    assert load.failed == 0
    assert server.served >= 0.8 * 1200
    assert len(server.rejected) < 0.25 * server.served
