"""Limits that several teams of a process share."""

from collections.abc import Mapping
from functools import partial

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

import transfer_prompting as tp

from support.brief import brief_clients, brief_scenario, brief_task
from support.chat_server import ChatServer, chat_server

LIMIT = 4


def scenario(endpoint: Mapping[str, object], **changes: object) -> tp.Scenario:
    """One task, whose original prompt is tested and nothing else."""
    return brief_scenario(
        endpoints={"server": {"host": "world-1"}, "app": endpoint},
        models={
            "writer": {"endpoint": "server", "model": "writer-1"},
            "small": {"endpoint": "app", "model": "small-1"},
        },
        tasks={"tickets": brief_task("tickets")},
        stages={"source": {"tasks": [], "seed_prompts": ["Decide."]}, "target": {"tasks": ["tickets"]}},
        strategy="original",
        budget={},
        **changes,
    )


def app(concurrency: int = LIMIT) -> dict[str, object]:
    return {"host": "app-1", "limits": {"concurrency": concurrency}}


async def _never(prompt: tp.Prompt, question: tp.Question) -> str:
    raise AssertionError


make = partial(tp.Team, clients=brief_clients(), targets={"small": _never})


async def test_twenty_teams_under_shared_limits_never_have_more_calls_in_flight_than_one():
    full = anyio.Event()

    async def behaviour(body: dict[str, object]) -> str:
        if server.at_once == LIMIT:
            full.set()
        await full.wait()  # calls are answered once as many as allowed have arrived
        await anyio.sleep(0.001)
        return "Answer: urgent"

    statuses: list[str] = []
    endpoints = tp.Endpoints()

    async def run(server: ChatServer) -> None:
        settings = {"base_url": server.base_url, "limits": {"concurrency": LIMIT}, "hedge": False}
        shared = scenario({**settings, "logprobs": False})
        async with tp.Team(shared, clients=brief_clients(), endpoints=endpoints) as team:
            statuses.append((await team.run()).status)

    async with chat_server(behaviour) as server:
        with anyio.fail_after(300):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(run, server)
    assert statuses == ["complete"] * 20
    assert server.most_at_once == LIMIT
    assert server.count >= 20 * 12


async def test_teams_that_share_an_endpoint_under_different_limits_are_refused_while_both_are_at_work():
    endpoints = tp.Endpoints()
    async with make(scenario(app()), endpoints=endpoints):
        with pytest.raises(tp.InputError, match=r"endpoints\.app\.limits: another team"):
            async with make(scenario(app(LIMIT + 1)), endpoints=endpoints):
                pytest.fail("entered")
    async with make(scenario(app(LIMIT + 1)), endpoints=endpoints):
        pass


async def test_teams_of_other_threads_do_not_share_limits():
    endpoints = tp.Endpoints()

    async def enter() -> None:
        async with make(scenario(app()), endpoints=endpoints):
            pass

    async with make(scenario(app()), endpoints=endpoints):
        with pytest.raises(RuntimeError, match="in one event loop"):
            await anyio.to_thread.run_sync(anyio.run, enter)
    await anyio.to_thread.run_sync(anyio.run, enter)


async def test_evaluations_share_limits():
    class Client:
        """Answers once as many calls as allowed are in flight."""

        def __init__(self) -> None:
            self.at_once = self.most = 0
            self.full = anyio.Event()

        async def chat(self, request: tp.ChatRequest) -> tp.ChatResponse:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            if self.at_once == LIMIT:
                self.full.set()
            await self.full.wait()
            await anyio.lowlevel.checkpoint()
            self.at_once -= 1
            return tp.ChatResponse(text="Answer: urgent")

    client, endpoints = Client(), tp.Endpoints()
    rows = [{"text": f"Page {number}?", "label": ("urgent", "routine")[number % 2]} for number in range(10)]
    model = {"client": client, "model": "m", "logprobs": False, "limits": {"concurrency": LIMIT}}

    async def run() -> None:
        result = await tp.evaluate("Decide.", rows, model=model, kind="classification", endpoints=endpoints)
        assert result.scorecard.n == len(rows)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(run)
    assert client.most == LIMIT
