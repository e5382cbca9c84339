"""The aiohttp client against a real server on the loopback."""

import anyio
import pytest

from transfer_prompting.runtime.errors import (
    ContextTooLong,
    EndpointError,
    RateLimited,
    Rejected,
    ServerFault,
    Unreachable,
)
from transfer_prompting.runtime.llm.chat import ChatRequest, Message, TokenLogprob, Usage
from transfer_prompting.runtime.llm.http._refusals import Quota, RateSheet
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.scenarios.errors import InputError

from support.chat_server import Completion, Fault, Malformed, Reset, Truncated, chat_server


def request(top_logprobs: int = 0) -> ChatRequest:
    messages = (Message("user", "Is it raining?"),)
    return ChatRequest(model="small", messages=messages, max_tokens=8, top_logprobs=top_logprobs)


async def test_a_call_sends_the_body_with_the_bearer_key_and_returns_the_reply():
    async with (
        chat_server(lambda body: Completion("yes", usage=(12, 3)), api_key="sk-1") as server,
        AiohttpClient(server.base_url, api_key="sk-1") as client,
    ):
        response = await client.chat(request())
    assert (response.text, response.usage, response.attempts) == ("yes", Usage(12, 3), 1)
    assert response.seconds > 0
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.bodies == [
        {
            "model": "small",
            "messages": [{"role": "user", "content": "Is it raining?"}],
            "max_tokens": 8,
            "temperature": 0.0,
        }
    ]


async def test_alternatives_come_back_in_the_order_of_the_endpoint():
    reply = Completion(" A", logprobs=[(" A", -0.1, [(" A", -0.1), (" B", -2.5), (" C", -4.0)])])
    async with chat_server(lambda body: reply) as server, AiohttpClient(server.base_url) as client:
        response = await client.chat(request(top_logprobs=2))
    assert response.tokens[0].top == (TokenLogprob(" A", -0.1), TokenLogprob(" B", -2.5))
    assert server.bodies[0]["logprobs"] is True
    assert server.bodies[0]["top_logprobs"] == 2


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Fault(429, headers={"Retry-After": "7"}), RateLimited),
        (Fault(503, headers={"Retry-After": "7"}), RateLimited),
        (Fault(503), ServerFault),
        (Fault(500), ServerFault),
        (Fault(408), Unreachable),
        (Fault(400, code="context_length_exceeded"), ContextTooLong),
        (Fault(400), Rejected),
        (Fault(404), Rejected),
        (Fault(307, headers={"Location": "/elsewhere"}), Rejected),
        (Fault(401), EndpointError),
        (Fault(403), EndpointError),
        (Reset(), Unreachable),
        (Truncated(), ServerFault),
        (Malformed(), ServerFault),
        (Malformed(b"<html>busy</html>"), ServerFault),
        (Malformed(b"\xff\xfe"), ServerFault),
    ],
)
async def test_each_fault_has_its_error(reply: Fault, error: type[Exception]):
    async with chat_server(script=[reply]) as server, AiohttpClient(server.base_url) as client:
        with pytest.raises(error) as raised:
            await client.chat(request())
        assert type(raised.value) is error
        assert (await client.chat(request())).text == "ok"


async def test_a_refused_connection_is_unreachable_and_names_the_endpoint():
    async with chat_server() as server:
        address = server.base_url
    async with AiohttpClient(address, name="lab") as client:
        with pytest.raises(Unreachable, match="lab"):
            await client.chat(request())


async def test_an_answer_that_does_not_come_in_time_is_unreachable():
    async def never(body: dict[str, object]) -> str:
        await anyio.sleep_forever()
        return ""

    async with chat_server(never) as server, AiohttpClient(server.base_url, timeout=0.05) as client:
        with anyio.fail_after(5), pytest.raises(Unreachable, match=r"0\.05 s"):
            await client.chat(request())


async def test_a_key_that_the_server_echoes_is_not_shown():
    echo = Fault(401, "Incorrect API key provided: sk-secret. Find yours in the settings.")
    async with (
        chat_server(lambda body: echo) as server,
        AiohttpClient(server.base_url, api_key="sk-secret") as client,
    ):
        with pytest.raises(EndpointError, match="Find yours") as raised:
            await client.chat(request())
    assert "sk-secret" not in str(raised.value)


async def test_more_calls_at_once_than_a_hundred_are_really_at_once():
    everyone = anyio.Event()

    async def together(body: dict[str, object]) -> str:
        if server.at_once == 150:
            everyone.set()
        await everyone.wait()
        return "ok"

    async with chat_server(together) as server, AiohttpClient(server.base_url) as client:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for _ in range(150):
                    tasks.start_soon(client.chat, request())
    assert server.most_at_once == 150


async def test_an_abandoned_call_is_dropped_by_the_server_too():
    arrived, dropped = anyio.Event(), anyio.Event()

    async def hold(body: dict[str, object]) -> str:
        arrived.set()
        try:
            await anyio.sleep_forever()
        finally:
            dropped.set()
        return ""

    async with chat_server(hold) as server, AiohttpClient(server.base_url) as client:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.chat, request())
                await arrived.wait()
                tasks.cancel_scope.cancel()
            await dropped.wait()


async def test_limits_in_the_headers_are_passed_on_with_the_model():
    told: list[tuple[str, RateSheet]] = []
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
    }
    async with (
        chat_server(lambda body: Completion("ok", headers=headers)) as server,
        AiohttpClient(server.base_url, on_limits=lambda model, sheet: told.append((model, sheet))) as client,
    ):
        await client.chat(request())
    assert told == [("small", RateSheet(requests=Quota(60, 59, 1)))]


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
async def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, variable: str):
    async with chat_server() as server:
        monkeypatch.setenv(variable, server.base_url.removesuffix("/v1"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with AiohttpClient("http://models.example/v1") as client:
            assert (await client.chat(request())).text == "ok"
    assert server.requests[0].headers["Host"] == "models.example"


@pytest.mark.parametrize("address", ["api.example/v1", "ftp://api.example", "http://"])
def test_an_address_that_is_none_is_bad_input(address: str):
    with pytest.raises(InputError, match="base_url"):
        AiohttpClient(address)
