"""A web service that optimises prompts: starts runs, streams their events, gives their results.

export OPENAI_BASE_URL=http://localhost:8000/v1 OPENAI_API_KEY=none
python examples/service.py 8080
curl -d '{"prompt": "…", "labels": ["a", "b"], "rows": [{"text": "…", "label": "a"}]}' localhost:8080/runs
curl -N localhost:8080/runs/1/events

POST   /runs            begin a run for a prompt and labelled rows; answers {"run": ID}
GET    /runs/ID         {"status": …}, with the best prompt and its gain once the run has ended
GET    /runs/ID/events  server-sent events from the first one on, or from after `Last-Event-ID`
DELETE /runs/ID         stop the run
"""

import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from itertools import count

import anyio
import msgspec
from aiohttp import web
from anyio.abc import TaskGroup

import transfer_prompting as tp


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """A request of a client."""

    prompt: str
    labels: list[str]
    rows: list[dict[str, str]]


def scenario(order: Order) -> tp.Scenario:
    """The scenario of an order, with the models, limits and budget of this service."""
    return tp.Scenario.build(
        {
            "name": "ordered",
            "strategy": "reflect",
            "endpoints": {
                "openai": {"base_url": os.environ["OPENAI_BASE_URL"], "api_key_env": "OPENAI_API_KEY"}
            },
            "models": {
                "writer": {"endpoint": "openai", "model": os.environ.get("WRITER_MODEL", "gpt-4.1")},
                "target": {"endpoint": "openai", "model": os.environ.get("TARGET_MODEL", "gpt-4.1-nano")},
            },
            "reference": {"model": "writer", "max_characters": 1000},
            "targets": ["target"],
            "tasks": {"rows": {"rows": order.rows, "kind": "classification", "labels": order.labels}},
            "stages": {
                "source": {"tasks": ["rows"], "seed_prompts": [order.prompt]},
                "target": {"tasks": ["rows"]},
            },
            "budget": {"auto": "light", "calls": 5000},
        }
    )


class Run:
    """One run: its events so far, and its results once it has ended."""

    def __init__(self, team: tp.Team) -> None:
        self.events: list[tp.Event] = []
        self.results: tp.Results | None = None
        self.problem = ""
        self.over = False
        self.team = team
        self._news = anyio.Event()

    async def go(self) -> None:
        """Run to the end; an error ends this run alone, not the service."""
        try:
            async with self.team, anyio.create_task_group() as tasks:
                tasks.start_soon(self._collect)
                self.results = await self.team.run()
        except* Exception as errors:  # noqa: BLE001 - a run that fails must not take the others with it
            self.problem = "; ".join(str(error) for error in errors.exceptions)
        finally:
            self.over = True
            self._news.set()

    async def stream(self, first: int) -> AsyncGenerator[tuple[int, tp.Event]]:
        """The events from number `first` on, until the run is over."""
        for number in count(first):
            while number >= len(self.events):
                if self.over:
                    return
                await self._news.wait()
            yield number, self.events[number]

    async def _collect(self) -> None:
        async for event in self.team.events():
            self.events.append(event)
            self._news.set()
            self._news = anyio.Event()


class Service:
    """The runs of this process; each in a task of its own."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._runs: dict[str, Run] = {}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/runs", self.begin)
        app.router.add_get("/runs/{id}", self.show)
        app.router.add_get("/runs/{id}/events", self.events)
        app.router.add_delete("/runs/{id}", self.stop)
        return app

    async def begin(self, request: web.Request) -> web.Response:
        try:
            team = tp.Team(scenario(msgspec.json.decode(await request.read(), type=Order)))
            team.check()
        except (tp.InputError, msgspec.DecodeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        id = str(len(self._runs) + 1)
        self._runs[id] = run = Run(team)
        self._tasks.start_soon(run.go)
        return web.json_response({"run": id}, status=201)

    async def show(self, request: web.Request) -> web.Response:
        run = self._run(request)
        if run.results is None:
            status = "failed" if run.over else "running"
            return web.json_response({"status": status, "problem": run.problem})
        shown: dict[str, object] = {"status": run.results.status}
        for target in run.results.targets:
            shown |= {"prompt": target.best.prompt.text, "gain": target.gain["objective"].difference}
        return web.json_response(shown)

    async def events(self, request: web.Request) -> web.StreamResponse:
        run = self._run(request)
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        async for number, event in run.stream(int(request.headers.get("Last-Event-ID", -1)) + 1):
            data = msgspec.json.encode(event).decode()
            await response.write(f"id: {number}\nevent: {type(event).__name__}\ndata: {data}\n\n".encode())
        return response

    async def stop(self, request: web.Request) -> web.Response:
        await self._run(request).team.stop(patience=2)  # seconds for calls in flight to finish
        return web.Response(status=204)

    def _run(self, request: web.Request) -> Run:
        run = self._runs.get(request.match_info["id"])
        if run is None:
            raise web.HTTPNotFound(text=json.dumps({"error": "no such run"}), content_type="application/json")
        return run


async def main(port: int) -> None:
    async with anyio.create_task_group() as tasks:
        runner = web.AppRunner(Service(tasks).app())
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                await anext(signals)
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await runner.cleanup()


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1] if len(sys.argv) > 1 else 8080))
