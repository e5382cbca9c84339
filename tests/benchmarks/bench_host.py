"""Time for which a team holds the event loop of its host.

    python tests/benchmarks/bench_host.py [--rows 200000] [--responses 50000]

A CSV of `rows` rows is loaded by a team that enters, then the original prompt of a task answers `responses`
test rows by a function of the host, and gets its scorecard with intervals. Meanwhile the host's loop should
be free: a task that wakes every 5 ms notes by how much it came late. `loop_blocked_ms` is the 99th percentile
of the delays in milliseconds (goal: at most 50), `longest_ms` the longest one.
"""

import argparse
import asyncio
import csv
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import anyio

import transfer_prompting as tp

TICK = 0.005
GOAL_MS = 50.0
LABELS = ("good", "bad")


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


def quantile(delays: list[float], share: float) -> float:
    return sorted(delays)[min(len(delays) - 1, int(share * len(delays)))] if delays else 0.0


def write_rows(path: Path, rows: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["question", "answer"])
        for number in range(rows):
            words = " ".join(f"word{(number * step) % 997}" for step in range(3, 23))
            table.writerow([f"Review {number}: {words}", LABELS[number % 2]])


def scenario(folder: Path, responses: int) -> tp.Scenario:
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
        "endpoints": {"app": {"host": "app", "limits": {"concurrency": 64}}, "writer": {"host": "writer"}},
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
    return tp.Scenario.load(path)


async def answer(prompt: tp.Prompt, question: tp.Question) -> str:
    await anyio.lowlevel.checkpoint()
    return LABELS[len(question.question) % 2]


class Silent:
    """A reference LLM that is never asked."""

    async def chat(self, request: tp.ChatRequest) -> tp.ChatResponse:
        raise AssertionError(request)


async def main(rows: int, responses: int) -> None:
    delays = Delays()
    start = loaded = ended = perf_counter()
    status = ""
    with TemporaryDirectory() as folder:
        write_rows(Path(folder, "rows.csv"), rows)
        async with anyio.create_task_group() as tasks:
            delays.mark("load")
            tasks.start_soon(delays.watch)
            await anyio.sleep(0.1)
            start = perf_counter()
            team = tp.Team(
                scenario(Path(folder), responses), clients={"writer": Silent()}, targets={"app": answer}
            )
            async with team:
                loaded = perf_counter()
                delays.mark("evaluate")
                status = (await team.run()).status
            ended = perf_counter()
            tasks.cancel_scope.cancel()
    print(f"loaded in {loaded - start:.1f} s, evaluated in {ended - loaded:.1f} s: {status}")
    for part, found in delays.parts.items():
        figures = "  ".join(
            f"p{share * 100:g} {quantile(found, share):7.1f}" for share in (0.5, 0.9, 0.99, 1)
        )
        print(f"{part:<10} {len(found):>6} ticks, ms late: {figures}")
    every = [delay for found in delays.parts.values() for delay in found]
    result = {
        "loop_blocked_ms": round(max(quantile(found, 0.99) for found in delays.parts.values()), 1),
        "longest_ms": round(max(every), 1),
        "goal_ms": GOAL_MS,
    }
    print("RESULT", json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--responses", type=int, default=50_000)
    settings = parser.parse_args()
    asyncio.run(main(settings.rows, settings.responses))
