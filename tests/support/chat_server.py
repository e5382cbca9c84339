"""An OpenAI-compatible chat server for tests: real HTTP over loopback, answered by a function.

    async with chat_server(lambda body: "Answer: yes") as server:
        ...  # talk to server.base_url
    assert server.count == 1

`behaviour` gets the decoded body of each request and returns a reply: a text, a `Completion`, or a fault
(`Fault`, `Reset`, `Truncated`, `Malformed`). It may be async, to hold an answer until an event is set. The
replies in `script` are given first, one a request, in order of arrival; None in it lets the behaviour answer.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from inspect import isawaitable
from math import ceil
from time import monotonic
from typing import Any

import anyio
import msgspec
from aiohttp import web

from .replies import Completion, Fault, Malformed, Reply, Reset, Truncated

__all__ = [
    "ChatServer",
    "Completion",
    "Fault",
    "Malformed",
    "Reply",
    "Reset",
    "Seen",
    "Truncated",
    "chat_server",
]

Body = dict[str, Any]
Behaviour = Callable[[Body], Reply | Awaitable[Reply]]


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; `at` is the monotonic time, `path` counts from the root of the server."""

    path: str
    headers: Mapping[str, str]
    body: Body
    at: float
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Bucket:
    """A token bucket: `per_minute` requests a minute, `burst` at once, filled to `burst` at the start."""

    per_minute: float
    burst: float
    level: float = field(init=False)
    at: float = field(init=False)

    def __post_init__(self) -> None:
        self.level, self.at = self.burst, monotonic()

    def take(self) -> float:
        """0 when a request may pass, else the seconds until one may."""
        now, rate = monotonic(), self.per_minute / 60
        self.level = min(self.burst, self.level + (now - self.at) * rate)
        self.at = now
        if self.level < 1:
            return (1 - self.level) / rate
        self.level -= 1
        return 0.0


@dataclass
class ChatServer:
    """A running server, and what it saw. `most_at_once` is the most requests it ever held at the same time.

    `rejected` counts the 429s of its own rate limit. `max_logprobs` refuses a larger `top_logprobs`; with
    `logprobs` False log-probabilities are never returned.
    """

    behaviour: Behaviour
    script: Iterator[Reply | None]
    api_key: str | None = None
    logprobs: bool = True
    max_logprobs: int | None = None
    bucket: Bucket | None = None
    base_url: str = ""
    runner: web.AppRunner | None = None
    requests: list[Seen] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    rejected: int = 0

    @property
    def count(self) -> int:
        """Requests that arrived, refused ones included."""
        return len(self.requests)

    @property
    def bodies(self) -> list[Body]:
        """The decoded bodies in order of arrival."""
        return [request.body for request in self.requests]

    async def disconnected(self) -> None:
        """Return when nobody is connected any more: then everything that was sent has been counted."""
        assert self.runner is not None
        assert self.runner.server is not None
        while self.runner.server.connections:  # noqa: ASYNC110 - aiohttp tells nobody when one ends
            await anyio.sleep(0.005)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = msgspec.json.decode(await request.read(), type=Body)
        seen = Seen(request.path, dict(request.headers), body, monotonic(), dict(request.query))
        self.requests.append(seen)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._send(request, body, await self._reply(request, body))
        finally:
            self.at_once -= 1

    async def _reply(self, request: web.Request, body: Body) -> Reply:
        if self.api_key is not None and request.headers.get("Authorization") != f"Bearer {self.api_key}":
            return Fault(401, "Incorrect API key provided.", "invalid_api_key")
        if self.bucket is not None and (wait := self.bucket.take()):
            self.rejected += 1
            headers = {"Retry-After": str(ceil(wait))}
            return Fault(429, "Rate limit reached.", "rate_limit_exceeded", headers)
        if self.max_logprobs is not None and body.get("top_logprobs", 0) > self.max_logprobs:
            return Fault(400, f"top_logprobs must be at most {self.max_logprobs}")
        scripted = next(self.script, None)
        if scripted is not None:
            return scripted
        reply = self.behaviour(body)
        return await reply if isawaitable(reply) else reply

    async def _send(self, request: web.Request, body: Body, reply: Reply) -> web.StreamResponse:
        match reply:
            case str() | Completion():
                completion = Completion(reply) if isinstance(reply, str) else reply
                return _json(200, self.completion(body, completion), completion.headers)
            case Fault(body=None):
                error = {"message": reply.message, "type": "error", "param": None, "code": reply.code}
                return _json(reply.status, {"error": error}, reply.headers)
            case Fault():
                return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
            case Malformed():
                return web.Response(body=reply.body, content_type="application/json")
            case Truncated():
                return await _cut_off(request)
            case Reset():
                _close(request)
                return web.Response()

    def completion(self, body: Body, reply: Completion) -> dict[str, object]:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": reply.text, "refusal": None},
            "finish_reason": reply.finish_reason,
            "logprobs": self._logprobs(body, reply),
        }
        answer: dict[str, object] = {
            "id": f"chatcmpl-{self.count}",
            "object": "chat.completion",
            "created": 1700000000,
            "model": body["model"],
            "choices": [choice],
        }
        if reply.usage is not False:
            answer["usage"] = _usage(body, reply)
        return answer

    def _logprobs(self, body: Body, reply: Completion) -> dict[str, object] | None:
        if not (self.logprobs and body.get("logprobs")):
            return None
        text = reply.text or ""
        given = reply.logprobs if reply.logprobs is not None else [(text, 0.0, [(text, 0.0)])]
        return {
            "content": [
                {
                    "token": token,
                    "logprob": logprob,
                    "bytes": list(token.encode()),
                    "top_logprobs": [
                        {"token": other, "logprob": value, "bytes": list(other.encode())}
                        for other, value in alternatives[: body.get("top_logprobs", 0)]
                    ],
                }
                for token, logprob, alternatives in given
            ]
        }


@asynccontextmanager
async def chat_server(
    behaviour: Behaviour = lambda body: "ok",
    *,
    script: Iterable[Reply | None] = (),
    api_key: str | None = None,
    logprobs: bool = True,
    max_logprobs: int | None = None,
    requests_per_minute: float | None = None,
    burst: float | None = None,
) -> AsyncGenerator[ChatServer]:
    """Serve `/v1/chat/completions` on a free port of the loopback until the context is left.

    With `requests_per_minute`, a token bucket that holds `burst` (default: a second's worth, at least 1)
    answers what is beyond it with 429 and Retry-After in whole seconds.
    """
    server = ChatServer(behaviour, iter(script), api_key, logprobs, max_logprobs)
    if requests_per_minute is not None:
        server.bucket = Bucket(requests_per_minute, burst or max(1.0, requests_per_minute / 60))
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    server.runner = runner
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        server.base_url = f"http://127.0.0.1:{port}/v1"
        yield server
    finally:
        await runner.cleanup()


def _json(status: int, content: object, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(content), content_type="application/json", headers=headers
    )


def _usage(body: Body, reply: Completion) -> dict[str, int]:
    if isinstance(reply.usage, tuple):
        prompt, completion = reply.usage
    else:
        prompt = sum(len(str(message["content"]).split()) for message in body["messages"])
        completion = len((reply.text or "").split())
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


async def _cut_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"id": "chatcmpl-1", "choices": [')
    _close(request)
    return response


def _close(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()
