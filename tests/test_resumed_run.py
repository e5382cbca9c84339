"""Runs that are killed or reach their budget, and what goes on from there: real processes, real HTTP."""

import json
import os
import random
import shutil
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from transfer_prompting.runtime.record.results import load_results

from support.chat_server import Body, ChatServer, Fault, Reply, Reset, Truncated
from support.commands import started, tprompt
from support.runs import AT_ONCE, lasting, simulated
from support.world import World

KILLS = 5
DETERMINISTIC = ("--set", "deterministic=true")


class Killer:
    """Answers as the world does, and kills the process that asks when the server has counted `moment`."""

    def __init__(self, world: World, server: ChatServer) -> None:
        self._world, self._server = world, server
        self.moment: float = float("inf")
        self.victim = 0

    def __call__(self, body: Body) -> str:
        if self._server.count >= self.moment:
            self.moment = float("inf")
            os.kill(self.victim, signal.SIGKILL)
        return self._world(body)


def recorded(out: Path, scratch: Path) -> int:
    """The HTTP calls in a dead run's ledger, read from a copy: the next process finds it as it was."""
    for name in ("ledger.sqlite", "ledger.sqlite-wal"):
        if (out / name).exists():
            shutil.copy(out / name, scratch / name)
    with closing(sqlite3.connect(scratch / "ledger.sqlite")) as ledger:
        (calls,) = ledger.execute("SELECT coalesce(sum(attempts), 0) FROM calls").fetchone()
    return calls


def bodies(server: ChatServer) -> Counter[str]:
    return Counter(json.dumps(body, sort_keys=True) for body in server.bodies)


@pytest.mark.timeout(240)
async def test_a_deterministic_run_killed_at_any_moment_ends_as_one_never_killed_and_pays_nothing_twice(
    tmp_path: Path,
):
    whole, out, scratch = tmp_path / "whole", tmp_path / "out", tmp_path / "scratch"
    scratch.mkdir()
    async with simulated(tmp_path) as (_, world, server):
        run = ("run", "scenario.yaml", "-q", *DETERMINISTIC)
        assert (await tprompt(*run, "--out", whole, cwd=tmp_path)).returncode == 0
        once, total = bodies(server), server.count
        server.requests.clear()
        server.behaviour = killer = Killer(world, server)
        lost = 0
        for moment in sorted(random.Random(7).sample(range(1, total), KILLS)):
            process = await started(*run, "--out", out, cwd=tmp_path)
            killer.victim, killer.moment = process.pid, moment
            with anyio.fail_after(60):
                assert await process.wait() == -signal.SIGKILL
                await process.aclose()
                await server.disconnected()
            # What the server counted and the ledger does not hold was on its way when the process died.
            on_its_way = server.count - lost - recorded(out, scratch)
            assert 0 <= on_its_way <= 2 * AT_ONCE
            lost += on_its_way
        done = await tprompt(*run, "--out", out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert server.count == total + lost
        assert (bodies(server) - once).total() == lost
    assert lasting(load_results(out / "results.json")) == lasting(load_results(whole / "results.json"))


def jobs(out: Path) -> list[int]:
    """The order in which the history says that results were taken in; a torn last line is left out."""
    path = out / "history.jsonl"
    if not path.exists():
        return []
    whole = path.read_text().rpartition("\n")[0].splitlines()
    return [event["job"] for event in (json.loads(line)["event"] for line in whole) if "job" in event]


@pytest.mark.timeout(240)
async def test_a_run_killed_live_and_while_it_replays_takes_the_recorded_order_and_pays_nothing_twice(
    tmp_path: Path,
):
    out, run = tmp_path / "out", ("run", "scenario.yaml", "-q", "--out", "out")
    orders: list[list[int]] = []
    async with simulated(tmp_path) as (_, world, server):
        server.behaviour = killer = Killer(world, server)
        lost = 0
        for moment in (150, 330):
            process = await started(*run, cwd=tmp_path)
            killer.victim, killer.moment = process.pid, moment
            with anyio.fail_after(60):
                assert await process.wait() == -signal.SIGKILL
                await process.aclose()
                await server.disconnected()
            lost += server.at_once + 2 * AT_ONCE
            orders.append(jobs(out))
        paid, draft = server.count, out / "history.jsonl.new"
        replaying = await started(*run, cwd=tmp_path)
        with anyio.fail_after(60):
            while not draft.exists() or draft.read_bytes().count(b"\n") < 20:  # noqa: ASYNC110 - another process writes it
                await anyio.sleep(0.001)
            replaying.kill()
            await replaying.wait()
            await replaying.aclose()
            await server.disconnected()
        again, orders = server.count - paid, [*orders, jobs(out)]
        done = await tprompt(*run, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert again <= 2 * AT_ONCE
    assert sum(count - 1 for count in bodies(server).values()) <= lost + again
    final = jobs(out)
    assert 0 < len(orders[0]) < len(orders[1]) <= len(orders[2]) < len(final)
    assert all(final[: len(order)] == order for order in orders)
    usage = load_results(out / "results.json").usage
    assert usage.replayed > 0
    assert usage.calls + usage.replayed <= server.count


async def test_a_budget_holds_over_faults_retries_and_invocations_and_can_be_raised(tmp_path: Path):
    again = Fault(429, headers={"Retry-After": "0"})
    faults: dict[int, Reply] = {9: Fault(500), 15: Reset(), 21: Truncated()}
    async with simulated(tmp_path) as (_, world, server):

        async def behaviour(body: Body) -> Reply:
            number = server.count
            await anyio.sleep(0.02)  # so that many are in flight at once
            return again if number == 330 else faults.get(number % 60) or world(body)

        server.behaviour = behaviour
        counts: list[int] = []
        for cap in (400, 400, 900):
            done = await tprompt(
                *("run", "scenario.yaml", "--out", "out", "-q", "--set", f"budget.calls={cap}"),
                *("--set", "endpoints.server.limits.concurrency=256"),
                cwd=tmp_path,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert server.count <= cap
            counts.append(server.count)
    assert counts[0] == counts[1] <= 400 < counts[2]
    assert server.most_at_once > AT_ONCE
