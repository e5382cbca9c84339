"""Workers on a nats-server, in this process or one of their own, and models whose calls they make."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio

from transfer_prompting.runtime.llm.budget.budget import Budget
from transfer_prompting.runtime.llm.ledger.ledger import open_ledger
from transfer_prompting.runtime.llm.relay import Relay, RelayWorker
from transfer_prompting.runtime.llm.stack import Models, open_models
from transfer_prompting.scenarios import Bus, Scenario

from support.processes import Talking, tprompt

HEARTBEAT = 0.2
"""Seconds; short, so that what is lost is soon missed."""


def bus(url: str, **settings: object) -> Bus:
    """Settings of a bus that misses workers and gives up soon."""
    return Bus.model_validate({"url": url, "heartbeat": HEARTBEAT, "patience": 20, **settings})


STAGES = {
    "source": {"tasks": [], "seed_prompts": ["Decide."]},
    "target": {"tasks": ["tickets"], "steps": 1},
}
"""Stages of a short run."""


@asynccontextmanager
async def serving(scenario: Scenario, settings: Bus, *models: str) -> AsyncGenerator[RelayWorker]:
    """A worker in this process; it is there from the beginning, and cancelled at the end."""
    ready = anyio.Event()

    def say(line: str) -> None:
        if line.startswith("serving"):
            ready.set()

    worker = RelayWorker(scenario, models, settings, say=say)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        await ready.wait()
        yield worker
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def relayed(scenario: Scenario, settings: Bus) -> AsyncGenerator[Models]:
    """The models of a run that relays its targets."""
    relay = Relay(scenario, settings)
    async with (
        relay,
        open_ledger(None) as ledger,
        open_models(
            scenario,
            ledger=ledger,
            budget=Budget(scenario.budget),
            clients=relay.clients,
            relays=relay.relays,
        ) as models,
    ):
        yield models


def worker(
    scenario: Path, url: str, *options: str, **environment: str
) -> AbstractAsyncContextManager[Talking]:
    """`tprompt worker`; it says `serving`."""
    return tprompt("worker", str(scenario), "--bus", url, *options, **environment)
