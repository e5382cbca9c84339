"""Display of a run in progress at a real terminal."""

from collections.abc import Mapping
from pathlib import Path

import anyio

from support.commands import COMMAND
from support.runs import AT_ONCE, simulated
from support.terminal import at_terminal

MIDST = 20
"""Requests that are answered before the endpoint waits."""


async def test_a_terminal_shows_stages_models_limits_and_the_budget_while_the_run_goes_on(tmp_path: Path):
    go_on = anyio.Event()
    async with simulated(tmp_path, budget={"calls": 5000}) as (_, world, server):

        async def behaviour(body: Mapping[str, object]) -> str:
            if server.count >= MIDST:
                await go_on.wait()
            return world(body)

        server.behaviour = behaviour
        with anyio.fail_after(60):
            async with at_terminal([*COMMAND, "run", "scenario.yaml"], tmp_path) as terminal:
                await terminal.see("source search: reviews, mails with small")
                await terminal.see(f" of {AT_ONCE}")
                await terminal.see("of 5,000 calls")
                go_on.set()
                await terminal.see("best so far")
                await terminal.see("simulated: complete")
                assert await terminal.end() == 0


async def test_ctrl_c_typed_at_a_terminal_stops_the_run_and_says_how_to_go_on(tmp_path: Path):
    go_on = anyio.Event()
    async with simulated(tmp_path) as (_, world, server):

        async def behaviour(body: Mapping[str, object]) -> str:
            if server.count >= MIDST:
                await go_on.wait()
            return world(body)

        server.behaviour = behaviour
        with anyio.fail_after(60):
            async with at_terminal([*COMMAND, "run", "scenario.yaml"], tmp_path) as terminal:
                await terminal.see(f" of {AT_ONCE}")
                terminal.type("\x03")
                await terminal.see("stopping: calls in flight finish")
                go_on.set()
                await terminal.see("simulated: interrupted")
                await terminal.see("to continue: tprompt run scenario.yaml")
                assert await terminal.end() == 130
