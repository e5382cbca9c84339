"""A chat server with OpenAI's Batch API beside it: `/v1/files` and `/v1/batches` as their reference has them.

    async with batch_server(behaviour) as server:
        server.hold()   # batches stay in progress until server.release()

Each batch is answered when it is first looked at after it was made, unless it is held. The behaviour is that
of `chat_server`; `Fault`s become lines of the error file.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import msgspec
from aiohttp import web

from .chat_server import Behaviour, ChatServer
from .replies import Completion, Fault, Reply

Line = dict[str, Any]


@dataclass
class BatchServer:
    """A running server. `created` counts batches, `answered` the calls that were made and are paid, by their
    body; `direct` are the requests that came one by one.

    `outcome` is how the next batches end: `completed`, `expired` (none but the first half is answered),
    `cancelled` (likewise) or `failed`. `queue` is how many calls a batch may have.
    """

    chat: ChatServer
    base_url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, Line] = field(default_factory=dict)
    answered: list[Line] = field(default_factory=list)
    polls: int = 0
    outcomes: list[str] = field(default_factory=list)
    queue: int | None = None
    lose_answer: bool = False
    started: anyio.Event = field(default_factory=anyio.Event)
    held: bool = False

    @property
    def direct(self) -> int:
        return self.chat.count

    @property
    def created(self) -> int:
        return len(self.batches)

    def hold(self) -> None:
        self.held = True

    def release(self) -> None:
        self.held = False

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["purpose"] == "batch"
        file = form["file"]
        assert isinstance(file, web.FileField)
        name = f"file-{len(self.files)}"
        self.files[name] = file.file.read()
        return web.json_response(
            {"id": name, "object": "file", "purpose": "batch", "filename": file.filename}
        )

    async def content(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["id"]])

    async def create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        assert body["endpoint"] == "/v1/chat/completions"
        assert body["completion_window"] == "24h"
        name = f"batch_{self.created}"
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": body["endpoint"],
            "input_file_id": body["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "errors": None,
            "output_file_id": None,
            "error_file_id": None,
        }
        self.started.set()
        if self.lose_answer:
            self.lose_answer = False
            assert request.transport is not None
            request.transport.close()
        return web.json_response(self.batches[name])

    async def get(self, request: web.Request) -> web.Response:
        self.polls += 1
        batch = self.batches.get(request.match_info["id"])
        if batch is None:
            return web.json_response({"error": {"message": "No batch found", "code": None}}, status=404)
        if batch["status"] == "validating" and not self.held:
            await self._end(batch)
        return web.json_response(batch)

    async def list(self, request: web.Request) -> web.Response:
        every = [*reversed(self.batches.values())]
        after = request.query.get("after")
        start = 0 if after is None else 1 + [batch["id"] for batch in every].index(after)
        page = every[start : start + int(request.query["limit"])]
        return web.json_response({"object": "list", "data": page, "has_more": start + len(page) < len(every)})

    async def _end(self, batch: Line) -> None:
        calls = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        if self.queue is not None and len(calls) > self.queue:
            reason = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}
            batch.update(status="failed", errors={"object": "list", "data": [reason]})
            return
        outcome = self.outcomes.pop(0) if self.outcomes else "completed"
        if outcome == "failed":
            reason = {"code": "invalid_json_line", "message": "This line is not parseable.", "line": 1}
            batch.update(status="failed", errors={"object": "list", "data": [reason]})
            return
        made = calls if outcome == "completed" else calls[: len(calls) // 2]
        lines: dict[bool, list[Line]] = {True: [], False: []}
        for call in made:
            right, line = await self._answer(call)
            lines[right].append(line)
        for call in calls[len(made) :]:
            error = {"code": f"batch_{outcome}", "message": "This request could not be executed."}
            lines[False].append({"custom_id": call["custom_id"], "response": None, "error": error})
        for key, found in (("output_file_id", lines[True]), ("error_file_id", lines[False])):
            if found:
                batch[key] = f"file-{len(self.files)}"
                self.files[batch[key]] = b"".join(json.dumps(line).encode() + b"\n" for line in found)
        batch["status"] = outcome

    async def _answer(self, call: Line) -> tuple[bool, Line]:
        assert (call["method"], call["url"]) == ("POST", "/v1/chat/completions")
        reply = self.chat.behaviour(call["body"])
        assert isinstance(reply, Reply)
        if isinstance(reply, Fault):
            error = {"message": reply.message, "type": "error", "param": None, "code": reply.code}
            status, body = reply.status, {"error": error}
        else:
            assert isinstance(reply, str | Completion)
            completion = Completion(reply) if isinstance(reply, str) else reply
            status, body = 200, self.chat.completion(call["body"], completion)
            self.answered.append(call["body"])
        response = {"status_code": status, "request_id": "req", "body": msgspec.to_builtins(body)}
        line = {"id": "batch_req", "custom_id": call["custom_id"], "response": response, "error": None}
        return status == 200, line


@asynccontextmanager
async def batch_server(behaviour: Behaviour) -> AsyncGenerator[BatchServer]:
    """Serve chat completions and batches on a free port of the loopback until the context is left."""
    server = BatchServer(ChatServer(behaviour, iter(())))
    app = web.Application(client_max_size=2**28)
    app.router.add_post("/v1/chat/completions", server.chat.handle)
    app.router.add_post("/v1/files", server.upload)
    app.router.add_get("/v1/files/{id}/content", server.content)
    app.router.add_post("/v1/batches", server.create)
    app.router.add_get("/v1/batches", server.list)
    app.router.add_get("/v1/batches/{id}", server.get)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        await runner.cleanup()
