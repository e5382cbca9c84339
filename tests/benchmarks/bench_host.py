"""Time for which a team holds the event loop of its host.

    python tests/benchmarks/bench_host.py [--rows 200000] [--responses 50000] [--concurrency 64]

A team that enters loads a CSV of `rows` rows; then the original prompt answers `responses` test rows by a
function of the host, and gets its scorecard with intervals. Meanwhile the host's loop should be free: a task
that wakes every 5 ms notes by how much it came late. `loop_blocked_ms` is the 99th percentile of the delays
in milliseconds (goal: at most 50), the higher one of both parts.

The single steps of the loop (one callback each) are timed too, and the longest are listed with the code that
they began and ended in: wall time, which other processes lengthen, and `cpu`, which they do not. `longest_ms`
is the longest one by wall time, `longest_cpu_ms` by CPU time.

Collections of garbage while responses are evaluated are counted by generation; on these figures the load of
the machine has no influence. A full one traverses every object of the process, so it is what holds the loop
longest.
"""

import argparse
import asyncio
import csv
import gc
import heapq
import json
from asyncio.events import Handle
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, thread_time
from typing import Any, cast

import anyio
import anyio.lowlevel

import transfer_prompting as tp

TICK = 0.005
GOAL_MS = 50.0
LABELS = ("good", "bad")
SHOWN = 8

# Imported before the loop runs, as in a host
TEAM, SCENARIO = tp.Team, tp.Scenario


class Delays:
    """Notes by how much a task that wakes every `TICK` seconds comes late; `mark` begins a new part."""

    def __init__(self) -> None:
        self.parts: dict[str, list[float]] = {}
        self._now: list[float] = []

    def mark(self, part: str) -> None:
        self._now = self.parts.setdefault(part, [])

    async def watch(self) -> None:
        while True:
            before = perf_counter()
            await anyio.sleep(TICK)
            self._now.append(1000 * (perf_counter() - before - TICK))


class Steps:
    """Times every callback of the event loop, and keeps the longest."""

    def __init__(self) -> None:
        self.longest: list[tuple[float, int, float, float, str]] = []
        self.cpu = 0.0
        self.collecting = 0.0
        self.collections = [0, 0, 0]
        self._numbers = count()
        self._collection = 0.0

    @contextmanager
    def timed(self) -> Generator[None]:
        run = Handle._run

        def timed(handle: Handle) -> None:
            task: object = getattr(handle._callback, "__self__", None)  # pyright: ignore[reportAttributeAccessIssue]
            begin, wall, cpu, collecting = _place(task), perf_counter(), thread_time(), self.collecting
            try:
                run(handle)
            finally:
                wall, cpu = 1000 * (perf_counter() - wall), 1000 * (thread_time() - cpu)
                self.cpu = max(self.cpu, cpu)
                if len(self.longest) < SHOWN or wall > self.longest[0][0]:
                    place = f"{begin} -> {_place(task)}"
                    step = (wall, next(self._numbers), cpu, 1000 * (self.collecting - collecting), place)
                    heapq.heappush(self.longest, step)
                    del self.longest[:-SHOWN]
                    self.longest = heapq.nlargest(SHOWN, self.longest)[::-1]

        Handle._run = timed  # pyright: ignore[reportAttributeAccessIssue]
        gc.callbacks.append(self._collected)
        try:
            yield
        finally:
            Handle._run = run
            gc.callbacks.remove(self._collected)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._collection = perf_counter()
        else:
            self.collecting += perf_counter() - self._collection
            self.collections[info["generation"]] += 1


def _place(task: object) -> str:
    """The innermost lines of this package's coroutines that a task is at."""
    if not isinstance(task, asyncio.Task):
        return "-"
    names: list[str] = []
    at: Any = cast("Coroutine[Any, Any, object]", task.get_coro())
    while at is not None:
        frame: Any = getattr(at, "cr_frame", None) or getattr(at, "ag_frame", None)
        if frame is not None and "transfer_prompting" in frame.f_code.co_filename:
            names.append(f"{at.__qualname__}:{frame.f_lineno}")
        at = getattr(at, "cr_await", None) or getattr(at, "ag_await", None)
    return " > ".join(names[-2:]) or "-"


def quantile(delays: list[float], share: float) -> float:
    return sorted(delays)[min(len(delays) - 1, int(share * len(delays)))] if delays else 0.0


def write_rows(path: Path, rows: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["question", "answer"])
        for number in range(rows):
            words = " ".join(f"word{(number * step) % 997}" for step in range(3, 23))
            table.writerow([f"Review {number}: {words}", LABELS[number % 2]])


def scenario(folder: Path, responses: int, concurrency: int) -> tp.Scenario:
    path = folder / "scenario.yaml"
    task = {
        "kind": "classification",
        "labels": list(LABELS),
        "data": "rows.csv",
        "fields": {"question": "question", "answer": "answer"},
        "split": {"train": 8, "validation": 8, "test": responses},
    }
    document = {
        "name": "host",
        "endpoints": {
            "app": {"host": "app", "limits": {"concurrency": concurrency}},
            "writer": {"host": "writer"},
        },
        "models": {
            "app": {"endpoint": "app", "model": "app"},
            "writer": {"endpoint": "writer", "model": "writer"},
        },
        "reference": {"model": "writer"},
        "targets": ["app"],
        "tasks": {"reviews": task},
        "stages": {"source": {"tasks": [], "seed_prompts": ["Decide."]}, "target": {"tasks": ["reviews"]}},
        "strategy": "original",
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return SCENARIO.load(path)


async def answer(prompt: tp.Prompt, question: tp.Question) -> str:
    await anyio.lowlevel.checkpoint()
    return LABELS[len(question.question) % 2]


class Silent:
    """A reference LLM that is never asked."""

    async def chat(self, request: tp.ChatRequest) -> tp.ChatResponse:
        raise AssertionError(request)


async def run(given: tp.Scenario, delays: Delays, steps: Steps) -> None:
    start = loaded = ended = perf_counter()
    status = ""
    async with anyio.create_task_group() as tasks:
        delays.mark("load")
        tasks.start_soon(delays.watch)
        start = perf_counter()
        async with TEAM(given, clients={"writer": Silent()}, targets={"app": answer}) as team:
            loaded = perf_counter()
            delays.mark("evaluate")
            steps.collections = [0, 0, 0]
            status = (await team.run()).status
        ended = perf_counter()
        tasks.cancel_scope.cancel()
    print(f"loaded in {loaded - start:.1f} s, evaluated in {ended - loaded:.1f} s: {status}")


def main(rows: int, responses: int, concurrency: int) -> None:
    delays, steps = Delays(), Steps()
    with TemporaryDirectory() as folder:
        write_rows(Path(folder, "rows.csv"), rows)
        given = scenario(Path(folder), responses, concurrency)
        with steps.timed():
            asyncio.run(run(given, delays, steps))
    for part, found in delays.parts.items():
        figures = "  ".join(
            f"p{share * 100:g} {quantile(found, share):7.1f}" for share in (0.5, 0.9, 0.99, 1)
        )
        print(f"{part:<10} {len(found):>6} ticks, ms late: {figures}")
    for wall, _, cpu, collecting, place in steps.longest[::-1]:
        print(f"step {wall:7.1f} ms, cpu {cpu:7.1f}, garbage collection {collecting:7.1f}: {place}")
    young, middle, full = steps.collections
    print(f"garbage collections while {responses:,} rows were evaluated: {young}, {middle}, {full} full")
    result = {
        "loop_blocked_ms": round(max(quantile(found, 0.99) for found in delays.parts.values()), 1),
        "longest_ms": round(steps.longest[-1][0], 1),
        "longest_cpu_ms": round(steps.cpu, 1),
        "full_collections": full,
        "goal_ms": GOAL_MS,
    }
    print("RESULT", json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--responses", type=int, default=50_000)
    parser.add_argument("--concurrency", type=int, default=64)
    settings = parser.parse_args()
    main(settings.rows, settings.responses, settings.concurrency)
