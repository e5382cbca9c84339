"""Calls of agents on workers: through the run's one stack and out again, here over the encoding bus."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskGroup

from transfer_prompting.agents._switchboard import RelayedClient, Sender, Switchboard, SwitchedClient
from transfer_prompting.runtime.bus import EncodingBus
from transfer_prompting.runtime.errors import Rejected, Unreachable
from transfer_prompting.runtime.llm.budget.budget import Budget
from transfer_prompting.runtime.llm.chat import ChatRequest, Message
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.runtime.llm.ledger.ledger import open_ledger
from transfer_prompting.runtime.llm.stack import Models, open_models
from transfer_prompting.scenarios import Scenario, load

from support.chat_server import ChatServer, Completion, Fault, chat_server
from support.runs import scenario_data, write_scenario

LIMITS = {"x-ratelimit-limit-requests": "600", "x-ratelimit-remaining-requests": "599"}


def asking(text: str) -> ChatRequest:
    return ChatRequest(model="small-1", messages=(Message("user", text),), max_tokens=5)


def scenario(folder: Path, server: ChatServer, **changes: object) -> Scenario:
    return load(write_scenario(folder, scenario_data(server.base_url, **changes)))


@asynccontextmanager
async def run_of(scenario: Scenario, bus: EncodingBus, tasks: TaskGroup) -> AsyncGenerator[Models]:
    """The run's side: its models, whose target is called by whoever serves `Send`."""
    async with (
        open_ledger(None) as ledger,
        open_models(
            scenario,
            ledger=ledger,
            budget=Budget(scenario.budget),
            clients={"server": RelayedClient(bus, "server")},
            relays={("server", "small-1"): partial(RelayedClient, bus, "server")},
        ) as models,
    ):
        await Switchboard(bus, models).start(tasks)
        yield models


@asynccontextmanager
async def worker_of(server: ChatServer, bus: EncodingBus, tasks: TaskGroup) -> AsyncGenerator[SwitchedClient]:
    """The worker's side: makes the calls, and asks for them."""
    senders: list[Sender] = []
    async with AiohttpClient(
        server.base_url, on_limits=lambda model, limits: senders[0].told(limits)
    ) as client:
        senders.append(Sender(bus, client, endpoint="server", model="small-1"))
        await senders[0].start(tasks, workers=8)
        yield SwitchedClient(bus, "small", "target")


async def test_a_call_from_a_worker_is_counted_and_replayed_like_one_from_here(tmp_path: Path):
    async with chat_server(lambda body: "yes") as server, EncodingBus() as bus:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                async with (
                    run_of(scenario(tmp_path, server), bus, tasks) as models,
                    worker_of(server, bus, tasks) as client,
                ):
                    first = await client.chat(asking("a"))
                    second = await client.chat(asking("a"))
                    assert (first.text, first.replayed, second.replayed) == ("yes", False, True)
                    usage = models.usage().by_model["small"]
                    assert (usage.calls, usage.replayed, server.count) == (1, 1, 1)
                tasks.cancel_scope.cancel()


async def test_limits_that_a_worker_hears_of_reach_the_runs_limiter(tmp_path: Path):
    async with chat_server(lambda body: Completion("yes", headers=LIMITS)) as server, EncodingBus() as bus:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                async with (
                    run_of(scenario(tmp_path, server), bus, tasks) as models,
                    worker_of(server, bus, tasks) as client,
                ):
                    await client.chat(asking("a"))
                    rate = models.snapshots()["small"].limits.requests_per_minute
                    assert rate == pytest.approx(600, rel=0.05)
                tasks.cancel_scope.cancel()


async def test_what_an_endpoint_answers_a_worker_reaches_the_agent_as_its_own_error(tmp_path: Path):
    async with chat_server(lambda body: Fault(400, "no such thing")) as server, EncodingBus() as bus:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                async with (
                    run_of(scenario(tmp_path, server), bus, tasks),
                    worker_of(server, bus, tasks) as client,
                ):
                    with pytest.raises(Rejected, match="no such thing"):
                        await client.chat(asking("a"))
                tasks.cancel_scope.cancel()


async def test_a_call_that_no_worker_makes_is_unreachable():
    async with EncodingBus() as bus:
        with pytest.raises(Unreachable, match="no worker answered: nobody serves Send for server/small-1"):
            await RelayedClient(bus, "server").chat(asking("a"))
