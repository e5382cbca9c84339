"""The proxy and the certificate authorities that the environment names, with both HTTP clients."""

import os
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from transfer_prompting.runtime.errors import EndpointError, Unreachable
from transfer_prompting.runtime.llm.chat import ChatRequest, Message
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.runtime.llm.http.openai_client import OpenAIClient
from transfer_prompting.runtime.llm.probes import unreachable
from transfer_prompting.scenarios.errors import InputError

from support.chat_server import chat_server

PLAIN = ChatRequest(model="small", messages=(Message("user", "Rain?"),), max_tokens=8)
BASIC = b64encode(b"user:CANARY#pw").decode()
Kind = type[AiohttpClient | OpenAIClient]

both_clients = pytest.mark.parametrize("kind", [AiohttpClient, OpenAIClient])
# The SDK hands the user and the password to aiohttp in a way that newer versions discourage.
discouraged_by_aiohttp = pytest.mark.filterwarnings("ignore:.*(BasicAuth|proxy_auth):DeprecationWarning")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.lower().endswith("_proxy") or variable.startswith("SSL_CERT_"):
            monkeypatch.delenv(variable)


@asynccontextmanager
async def refusing_proxy(status: int) -> AsyncGenerator[tuple[int, list[str]]]:
    """A proxy that answers every request with this status: its port, and the heads of requests."""
    heads: list[str] = []

    async def serve(stream: SocketStream) -> None:
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive()
            heads.append(head.decode())
            await stream.send(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(SocketAttribute.local_port), heads
        tasks.cancel_scope.cancel()


@both_clients
@discouraged_by_aiohttp
async def test_a_proxy_that_refuses_is_named_without_its_password(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
):
    async with refusing_proxy(407) as (port, heads):
        monkeypatch.setenv("https_proxy", f"http://user:CANARY%23pw@127.0.0.1:{port}")
        async with kind("https://models.example/v1", name="lab") as client:
            with pytest.raises(EndpointError) as raised:
                await client.chat(PLAIN)
    said = str(raised.value)
    assert f"the proxy 127.0.0.1:{port} refuses to connect to lab (status 407); check https_proxy" in said
    assert "CANARY" not in said
    assert f"Proxy-Authorization: Basic {BASIC}" in heads[0]


@both_clients
async def test_a_proxy_does_not_get_the_key_for_the_endpoint(kind: Kind, monkeypatch: pytest.MonkeyPatch):
    async with refusing_proxy(407) as (port, heads):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        headers = {"x-team": "sk-of-the-team"}
        async with kind("https://models.example/v1", api_key="sk-secret", headers=headers) as client:
            with pytest.raises(EndpointError):
                await client.chat(PLAIN)
    assert heads[0].startswith("CONNECT models.example:443")
    assert "sk-" not in heads[0]


@both_clients
@pytest.mark.parametrize("status", [502, 429])
async def test_a_proxy_without_a_connection_for_now_is_unreachable_and_nothing_was_sent(
    kind: Kind, status: int, monkeypatch: pytest.MonkeyPatch
):
    async with refusing_proxy(status) as (port, _):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        async with kind("https://models.example/v1") as client:
            with pytest.raises(Unreachable, match=f"proxy 127.0.0.1:{port}.*{status}") as raised:
                await client.chat(PLAIN)
    assert raised.value.attempts == 0
    assert not raised.value.may_be_billed


@both_clients
async def test_a_proxy_of_plain_http_that_refuses_is_not_the_endpoint(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
):
    async with refusing_proxy(407) as (port, _):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        async with kind("http://models.example/v1", name="lab") as client:
            with pytest.raises(EndpointError, match=r"the proxy before lab .* HTTP_PROXY"):
                await client.chat(PLAIN)


@both_clients
@discouraged_by_aiohttp
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_accepts_no_connection_is_named_and_nothing_was_sent(
    kind: Kind, scheme: str, monkeypatch: pytest.MonkeyPatch
):
    async with refusing_proxy(407) as (port, _):
        pass
    monkeypatch.setenv(f"{scheme}_proxy", f"user:CANARYpw@127.0.0.1:{port}")
    async with kind(f"{scheme}://models.example/v1", name="lab") as client:
        with pytest.raises(Unreachable) as raised:
            await client.chat(PLAIN)
    assert str(raised.value).startswith(
        f"no connection to the proxy 127.0.0.1:{port}, by which lab is called; check {scheme}_proxy"
    )
    assert "CANARY" not in str(raised.value)
    assert raised.value.attempts == 0


@both_clients
@discouraged_by_aiohttp
async def test_a_proxy_gets_its_user_and_password(kind: Kind, monkeypatch: pytest.MonkeyPatch):
    async with chat_server() as server:
        host = server.base_url.removeprefix("http://").removesuffix("/v1")
        monkeypatch.setenv("http_proxy", f"user:CANARY%23pw@{host}")
        async with kind("http://models.example/v1", api_key="sk-1") as client:
            assert (await client.chat(PLAIN)).text == "ok"
    assert server.requests[0].headers["Host"] == "models.example"
    assert server.requests[0].headers["Authorization"] == "Bearer sk-1"
    assert server.requests[0].headers["Proxy-Authorization"] == f"Basic {BASIC}"


NO_ADDRESSES = [
    "::::",
    "http://127.0.0.1:99999",
    "http://user:CANARYpw@127.0.0.1:99999",
    "http://user:CANARYpw#x@127.0.0.1:1",
    "http://:CANARYpw@",
    "http://CANARY pw:1",
    "http://127.0.0.1:0",
    "ftp://user:CANARYpw@127.0.0.1:1",
    "socks5://user:CANARYpw@127.0.0.1:1",
]


@both_clients
@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_a_proxy_that_is_no_address_is_bad_input(kind: Kind, address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", address)
    with pytest.raises(InputError, match=r"^HTTP_PROXY is not the address of a proxy") as raised:
        kind("http://models.example/v1")
    assert "CANARY" not in str(raised.value)


@both_clients
async def test_proxies_that_are_not_used_need_be_none(kind: Kind, monkeypatch: pytest.MonkeyPatch):
    async with chat_server() as server:
        monkeypatch.setenv("https_proxy", "::::")
        monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1")
        async with kind(server.base_url) as client:
            assert (await client.chat(PLAIN)).text == "ok"
        monkeypatch.setenv("http_proxy", "::::")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with kind(server.base_url) as client:
            assert (await client.chat(PLAIN)).text == "ok"


async def test_a_trial_of_the_connection_uses_the_same_proxies(monkeypatch: pytest.MonkeyPatch):
    async with refusing_proxy(407) as (port, _):
        pass
    url = f"http://127.0.0.1:{port}/v1"
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert await unreachable(url) is None
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert "cannot be reached" in str(await unreachable(url))


@both_clients
def test_certificate_authorities_that_cannot_be_read_are_bad_input(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"^SSL_CERT_DIR: .*absent"):
        kind("https://models.example/v1")
    empty = tmp_path / "empty.pem"
    empty.touch()
    for file in (tmp_path / "absent.pem", empty, tmp_path):
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with pytest.raises(InputError, match=r"^SSL_CERT_FILE: no certificates can be read") as raised:
            kind("https://models.example/v1")
        assert str(file) in str(raised.value)
