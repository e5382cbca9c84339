"""The client over the openai SDK: the same requests and the same errors as the aiohttp client."""

import subprocess
import sys
from contextlib import suppress

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from openai import AsyncOpenAI

from transfer_prompting.runtime.errors import (
    CallFailed,
    ContextTooLong,
    EndpointError,
    RateLimited,
    Rejected,
    ServerFault,
    Unreachable,
)
from transfer_prompting.runtime.llm.chat import ChatRequest, Message
from transfer_prompting.runtime.llm.http._refusals import Quota, RateSheet
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.runtime.llm.http.openai_client import OpenAIClient
from transfer_prompting.scenarios.errors import InputError

from support.chat_server import Completion, Fault, Malformed, Reply, Reset, Truncated, chat_server

PLAIN = ChatRequest(model="small", messages=(Message("user", "Rain?"),), max_tokens=8)
FULL = ChatRequest(
    model="small",
    messages=(Message("system", "Söll ich?"), Message("user", "Is it 🌧?")),
    max_tokens=1,
    temperature=0.7,
    top_p=0.9,
    top_logprobs=5,
    seed=11,
    json_object=True,
    sample=3,
)


@pytest.mark.parametrize("request_", [PLAIN, FULL], ids=["plain", "full"])
async def test_both_clients_send_the_same_request_and_read_the_same_response(request_: ChatRequest):
    reply = Completion("yes", logprobs=[("yes", -0.1, [("yes", -0.1), ("no", -2.3)])], usage=(7, 1))
    async with (
        chat_server(lambda body: reply, api_key="sk-1") as server,
        AiohttpClient(server.base_url, api_key="sk-1") as bare,
        OpenAIClient(server.base_url, api_key="sk-1") as sdk,
    ):
        responses = [await bare.chat(request_), await sdk.chat(request_)]
    ours, theirs = server.requests
    assert ours.path == theirs.path
    assert ours.body == theirs.body
    for header in ("Authorization", "Content-Type", "Accept"):
        assert ours.headers[header] == theirs.headers[header]
    first, second = [(r.text, r.finish_reason, r.tokens, r.usage, r.attempts) for r in responses]
    assert first == second


async def test_without_a_key_neither_client_sends_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-endpoint")
    async with (
        chat_server() as server,
        AiohttpClient(server.base_url) as bare,
        OpenAIClient(server.base_url) as sdk,
    ):
        await bare.chat(PLAIN)
        await sdk.chat(PLAIN)
    assert all("Authorization" not in seen.headers for seen in server.requests)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Fault(429, headers={"Retry-After": "7"}), RateLimited),
        (Fault(503), ServerFault),
        (Fault(400, code="context_length_exceeded"), ContextTooLong),
        (Fault(404), Rejected),
        (Fault(401), EndpointError),
        (Reset(), Unreachable),
        (Truncated(), ServerFault),
        (Malformed(), ServerFault),
    ],
)
async def test_each_fault_has_the_same_error_as_without_the_sdk(reply: Reply, error: type[Exception]):
    async with (
        chat_server(script=[reply, reply]) as server,
        AiohttpClient(server.base_url) as bare,
        OpenAIClient(server.base_url) as sdk,
    ):
        for client in (bare, sdk):
            with pytest.raises(error) as raised:
                await client.chat(PLAIN)
            assert type(raised.value) is error
            assert getattr(raised.value, "retry_after", None) == (7 if error is RateLimited else None)
    assert server.count == 2


RAW = {
    "no status": b"HTTP/1.1 abc\r\n\r\n",
    "no chunk": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n",
    "two lengths": b"HTTP/1.1 200 X\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a long header": b"HTTP/1.1 200 X\r\nX-A: " + b"a" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n",
}
"""Answers that are no HTTP."""


@pytest.mark.parametrize("kind", [AiohttpClient, OpenAIClient])
@pytest.mark.parametrize("answer", RAW)
async def test_an_answer_that_is_no_http_is_a_fault_of_the_server_in_a_few_words(
    kind: type[AiohttpClient | OpenAIClient], answer: str
):
    async def serve(stream: SocketStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await stream.receive()
                await stream.send(RAW[answer])
                await stream.receive()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(SocketAttribute.local_port)
        async with kind(f"http://127.0.0.1:{port}/v1", name="lab") as client:
            with pytest.raises(ServerFault) as raised:
                await client.chat(PLAIN)
            said = str(raised.value)
            assert len(said) < 400
            assert len(said.splitlines()) == 1
        tasks.cancel_scope.cancel()


async def test_a_lost_connection_is_not_called_slow():
    async with chat_server(script=[Reset()]) as server, OpenAIClient(server.base_url, name="lab") as client:
        with pytest.raises(Unreachable, match="the connection to lab was lost"):
            await client.chat(PLAIN)


async def test_no_connection_and_no_answer_in_time_are_unreachable():
    async def never(body: dict[str, object]) -> str:
        await anyio.sleep_forever()
        return ""

    async with chat_server(never) as server, OpenAIClient(server.base_url, timeout=0.05) as client:
        with anyio.fail_after(5), pytest.raises(Unreachable, match="in time"):
            await client.chat(PLAIN)
    async with OpenAIClient(server.base_url, name="lab") as client:
        with pytest.raises(Unreachable, match="lab"):
            await client.chat(PLAIN)


async def test_a_client_of_the_host_is_used_without_its_retries_and_left_open():
    async with chat_server(script=[Fault(500), None, None], api_key="sk-host") as server:
        host = AsyncOpenAI(base_url=server.base_url, api_key="sk-host", max_retries=5)
        async with OpenAIClient(client=host) as client:
            with pytest.raises(CallFailed):
                await client.chat(PLAIN)
            assert (await client.chat(PLAIN)).text == "ok"
        assert not host.is_closed()
        await host.close()
    assert server.count == 2


async def test_limits_in_the_headers_are_passed_on():
    told: list[tuple[str, RateSheet]] = []
    reply = Completion("ok", headers={"x-ratelimit-limit-tokens": "9000"})
    async with (
        chat_server(lambda body: reply) as server,
        OpenAIClient(server.base_url, on_limits=lambda model, sheet: told.append((model, sheet))) as client,
    ):
        await client.chat(PLAIN)
    assert told == [("small", RateSheet(tokens=Quota(9000)))]


async def test_a_key_that_the_server_echoes_is_not_shown():
    echo = Fault(401, "Incorrect API key provided: sk-secret.")
    async with (
        chat_server(lambda body: echo) as server,
        OpenAIClient(server.base_url, api_key="sk-secret") as client,
    ):
        with pytest.raises(EndpointError) as raised:
            await client.chat(PLAIN)
    assert "sk-secret" not in str(raised.value)


async def test_a_secret_in_the_query_is_not_logged_by_the_http_library(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    async with (
        chat_server(lambda body: "yes") as server,
        OpenAIClient(server.base_url, query={"key": "a/secret-1"}, secrets=["a/secret-1"]) as client,
    ):
        await client.chat(PLAIN)
    assert "key=" in caplog.text
    assert "secret-1" not in caplog.text


def test_an_address_or_a_client_is_needed_and_not_both():
    with pytest.raises(InputError, match="base_url"):
        OpenAIClient()


def test_without_the_sdk_the_message_says_what_to_install():
    code = (
        "import sys; sys.modules['openai'] = None\n"
        "from transfer_prompting.runtime.errors import InputError\n"
        "from transfer_prompting.runtime.llm.http.openai_client import OpenAIClient\n"
        "try: OpenAIClient('http://localhost/v1')\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install openai" in done.stdout
