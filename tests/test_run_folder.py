"""What the folder of a run may hold, and who may use it: exit codes and messages of the command line."""

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from transfer_prompting.runtime.record.results import load_results

from support.chat_server import Body
from support.commands import started, told, tprompt
from support.ledgers import foreign, holed, newer, torn
from support.runs import lasting, simulated

FIRST = 2 * 4
"""Calls in flight at first: a block of rows of both source tasks, under the original."""


async def test_a_second_process_on_one_folder_ends_with_2_and_the_first_goes_on(tmp_path: Path):
    asked, go_on = anyio.Event(), anyio.Event()
    async with simulated(tmp_path) as (_, world, server):

        async def behaviour(body: Body) -> str:
            if server.at_once == FIRST:
                asked.set()
            await go_on.wait()
            return world(body)

        server.behaviour = behaviour
        with anyio.fail_after(90):
            first = await started("run", "scenario.yaml", "--out", "out", cwd=tmp_path)
            await asked.wait()
            second = await tprompt("run", "scenario.yaml", "--out", "out", cwd=tmp_path)
            assert server.count == FIRST
            go_on.set()
            assert await first.wait() == 0
            await first.aclose()
    message = told(second, 2)
    assert f"process {first.pid} is using this folder's call ledger" in message
    assert "choose another output folder" in message


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda path: path.write_text("name: a scenario, by mistake"),
            "not a call ledger, nor any SQLite file",
        ),
        (foreign, "belongs to another program"),
        (newer, "schema 99, written by a newer version"),
        (torn, "this call ledger is damaged"),
        (holed, "this call ledger is damaged"),
    ],
)
async def test_a_folder_with_an_unsound_ledger_ends_with_2_and_nothing_is_lost_or_asked(
    tmp_path: Path, make: Callable[[Path], object], says: str
):
    ledger = tmp_path / "out" / "ledger.sqlite"
    ledger.parent.mkdir()
    await to_thread.run_sync(make, ledger)
    before = ledger.read_bytes()
    async with simulated(tmp_path) as (_, _, server):
        done = await tprompt("run", "scenario.yaml", "--out", "out", cwd=tmp_path)
        assert server.count == 0
    message = " ".join(told(done, 2).split())
    assert says in message
    assert "nothing was changed in it" in message
    assert str(Path("out", "ledger.sqlite")) in message
    assert ledger.read_bytes() == before


async def test_runs_at_the_same_time_share_a_cache_and_the_next_one_pays_nothing(tmp_path: Path):
    equal = ("--set", "deterministic=true")
    shared = ("run", "scenario.yaml", "-q", "--set", "cache=calls.sqlite", *equal)
    async with simulated(tmp_path) as (_, _, server):
        ends: list[int | None] = []

        async def one(out: str) -> None:
            ends.append((await tprompt(*shared, "--out", out, cwd=tmp_path)).returncode)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, "a")
            tasks.start_soon(one, "b")
        before = server.count
        await one("c")
        assert server.count == before
    assert ends == [0, 0, 0]
    first, second, third = (load_results(tmp_path / out / "results.json") for out in "abc")
    assert lasting(first) == lasting(second) == lasting(third)
    assert third.usage.calls == 0
    assert first.usage.calls + second.usage.calls == before
    assert third.usage.replayed == first.usage.calls + first.usage.replayed
