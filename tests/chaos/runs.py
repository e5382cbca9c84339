"""One chaos run in this process: a run under its script's faults, resumed twice, and what must hold after."""

import asyncio
import gc
import json
import os
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from unittest.mock import patch

import anyio
import anyio.lowlevel

import transfer_prompting as tp
from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.errors import TransferPromptingError
from transfer_prompting.runtime.llm.chat import SystemClock

from chaos.script import Script
from support.brief import brief_scenario
from support.chat_server import Body, ChatServer, Reply, chat_server
from support.runs import helpful_world, lasting

FASTER = 200.0
"""Waits of retries and limits pass this many times as fast as they would."""

TIMEOUT, STALLED = 60.0, 3.0
"""Seconds of one HTTP call, and in a run in which calls stall, which alone may take so long.

A process that waits for a busy machine must not miss an answer that was given.
"""

FINISHED = "complete", "budget"
TEMPORARY = (".tmp", ".new", "-wal", "-shm", "-journal")


class Broken(AssertionError):
    """An invariant that did not hold."""


def hold(fact: bool, said: str) -> None:
    """Raise Broken unless the fact holds."""
    if not fact:
        raise Broken(said)


class Time:
    """The clock of limits, retries and hedges: `FASTER`, and with the jump of a script."""

    def __init__(self) -> None:
        self.jumped = 0.0

    def now(self) -> float:
        return monotonic() * FASTER + self.jumped

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds / FASTER)

    @contextmanager
    def running(self) -> Generator[None]:
        """Make it the system's while inside."""
        with (
            patch.object(SystemClock, "now", lambda _: self.now()),
            patch.object(SystemClock, "sleep", lambda _, seconds: self.sleep(seconds)),
        ):
            yield


class Chaos:
    """What answers the requests of one run by its script, and counts what it gave whole."""

    def __init__(self, script: Script, server: ChatServer, time: Time) -> None:
        self._script = script
        self._server = server
        self._time = time
        self._world = helpful_world()
        self._stalled = 0
        self.calm = False
        self.given: Counter[str] = Counter()
        self.stop: anyio.Event = anyio.Event()

    async def __call__(self, body: Body) -> Reply:
        number = self._server.count
        text = self._world(body)
        if self.calm:
            return self._give(body, text)
        script = self._script
        if number >= script.stop:
            self.stop.set()
        if number == script.jump_at:
            self._time.jumped += script.jump
        if self._stalled < script.stalls and random.Random(f"stall {script.seed} {number}").random() < 0.02:
            self._stalled += 1
            await anyio.sleep(4 * STALLED)
        fault = script.fault(number)
        if fault is not None:
            return fault
        await anyio.lowlevel.checkpoint()
        self.given[json.dumps(body, sort_keys=True)] += 1
        return script.dressed(number, text)

    def _give(self, body: Body, text: str) -> Reply:
        self.given[json.dumps(body, sort_keys=True)] += 1
        return text


def scenario(script: Script, base_url: str) -> tp.Scenario:
    """The scenario of a chaos run: a source and a target task, about 150 calls."""
    endpoint = {
        "base_url": base_url,
        "logprobs": False,
        "json_object": False,
        "seeded": True,
        "limits": {"concurrency": 16},
        "retry": {"attempts": script.attempts, "seconds": 300},
        "timeout": STALLED if script.stalls else TIMEOUT,
        "hedge": script.hedge,
    }
    budget = {"evaluations": 80} if script.calls is None else {"calls": script.calls}
    return brief_scenario(endpoints={"server": endpoint}, budget=budget, deterministic=script.deterministic)


async def chaos_run(script: Script, folder: Path) -> Counter[str]:
    """Run a script; raises Broken where an invariant does not hold. Returns what happened, counted."""
    time, seen = Time(), Counter[str]()
    with time.running(), patch("transfer_prompting.agents.team.write_page"):
        async with chat_server() as server:
            server.behaviour = chaos = Chaos(script, server, time)
            loaded = scenario(script, server.base_url)
            before = open_parts()
            seen[f"first: {await _first(script, loaded, folder, chaos, seen)}"] += 1
            await server.disconnected()
            caps_kept(script, server)
            if not script.hedge:
                seen["answers lost on the way"] += paid_once(folder, chaos, script)
            chaos.calm = True
            second = await _finished(loaded, folder)
            seen[f"resumed: {second.status}"] += 1
            hold(second.status in FINISHED or second.status == "failed", f"resumed run is {second.status}")
            every_row_once(folder, second)
            caps_kept(script, server)
            asked = server.count
            third = await _finished(loaded, folder)
            hold(server.count == asked or _has_failures(second), "a finished run made calls again")
            if server.count == asked:
                hold(outcome(third) == outcome(second), "a finished run resumed has another result")
            await server.disconnected()
            nothing_left(folder, before)
            seen["requests"] += server.count
            if (
                script.deterministic
                and script.calls is None
                and not (script.nonsense or _has_failures(second))
            ):
                seen["compared with a calm run"] += 1
                calm = await _finished(loaded, folder / "calm")
                hold(outcome(calm) == outcome(second), "the resumed result is not that of a calm run")
    return seen


async def _first(script: Script, loaded: tp.Scenario, folder: Path, chaos: Chaos, seen: Counter[str]) -> str:
    """The status that the run under faults ends with; or the class of its error, which must be expected."""
    status = "cancelled"
    try:
        with anyio.fail_after(100):
            async with anyio.create_task_group() as tasks, Team(loaded, out=folder) as team:

                async def stop() -> None:
                    await chaos.stop.wait()
                    seen[f"stopped: {script.stop_kind}"] += 1
                    await (team.stop(patience=10) if script.stop_kind == "drained" else _cancel(tasks))

                if script.stop_kind != "none":
                    tasks.start_soon(stop)
                results = await team.run()
                status = results.status
                if status in FINISHED:
                    every_row_once(folder, results)
                tasks.cancel_scope.cancel()
    except* TransferPromptingError as group:
        status = type(group.exceptions[0]).__name__
    return status


async def _cancel(tasks: Any) -> None:
    tasks.cancel_scope.cancel()


async def _finished(loaded: tp.Scenario, folder: Path) -> tp.Results:
    with anyio.fail_after(100):
        async with Team(loaded, out=folder) as team:
            return await team.run()


def outcome(results: tp.Results) -> object:
    """The results without what was spent: no HTTP calls of searches."""
    return _outcome(lasting(results))


def _outcome(value: object) -> object:
    match value:
        case dict():
            return {key: _outcome(inner) for key, inner in value.items() if key != "calls"}
        case list():
            return [_outcome(inner) for inner in value]
        case _:
            return value


def _has_failures(results: tp.Results) -> bool:
    return results.usage.failed > 0 or any(
        result.best.scorecard.failed or result.baseline.scorecard.failed for result in results.targets
    )


def caps_kept(script: Script, server: ChatServer) -> None:
    """No more requests reached the server than the budget allows, nor more at once than the limit."""
    if script.calls is not None:
        hold(server.count <= script.calls, f"{server.count} calls of {script.calls}")
    hold(server.most_at_once <= 16, f"{server.most_at_once} requests at once")


def paid_once(folder: Path, chaos: Chaos, script: Script) -> int:
    """Every whole answer is in the ledger, once.

    Excepted are answers on their way at a cancellation, or late, and replies of the reference LLM that the
    search did not wait for.

    Returns how many were on their way.
    """
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger:
        (kept,) = ledger.execute("SELECT count(*) FROM calls WHERE paid").fetchone()
    lost = chaos.given.total() - kept
    hold(lost >= 0, f"{-lost} calls in the ledger that the server never answered")
    dropped = (folder / "history.jsonl").read_text().count('"dropped":true')
    excused = script.stalls + dropped + (16 if script.stop_kind == "cancelled" else 0)
    hold(lost <= excused, f"{lost} answers were paid for and are not in the ledger")
    return lost


def every_row_once(folder: Path, results: tp.Results) -> None:
    """Each prompt of the test has one response or failure to each row."""
    rows: dict[str, set[str]] = {}
    given: Counter[tuple[str, str, str, str]] = Counter()
    for line in (folder / "responses.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["type"] == "row":
            rows.setdefault(record["task"], set()).add(record["example"]["id"])
        else:
            given[record["task"], record["model"], record["prompt"], record["response"]["example"]] += 1
    hold(set(given.values()) <= {1}, "a row was graded twice under one prompt")
    for result in results.targets:
        for prompt in {result.baseline.prompt.id, result.best.prompt.id}:
            answered = {row for task, _, own, row in given if own == prompt and task == result.task}
            hold(answered == rows[result.task], f"rows of {prompt} are missing")


def open_parts() -> tuple[int, int, int]:
    """Numbers of tasks, threads that are not the pool's, and descriptors."""
    gc.collect()
    threads = [thread for thread in threading.enumerate() if "AnyIO worker" not in thread.name]
    return len(asyncio.all_tasks()), len(threads), len(os.listdir("/proc/self/fd"))


def nothing_left(folder: Path, before: tuple[int, int, int]) -> None:
    """No task, thread, descriptor or temporary file is left of the runs."""
    after = open_parts()
    names = ("tasks", "threads", "descriptors")
    for name, then, now in zip(names, before, after, strict=True):
        hold(now <= then, f"{now - then} {name} left")
    left = [path.name for path in folder.iterdir() if path.name.endswith(TEMPORARY)]
    hold(not left, f"files left: {', '.join(left)}")
