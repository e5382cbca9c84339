"""A soak: two million calls in one process, and whether anything grows that should not.

    python tests/benchmarks/bench_soak.py [--calls 2000000] [--rows 500] [--models 4]

Prompts answer all rows with all models, through evaluator, bus, Scorer, Target, budget, the ledger on disk,
retries, limits and HTTP; the simulated endpoint is a process of its own, and nothing of a prompt is kept.
After each tenth of the calls memory, open descriptors, tasks and the ledger's bytes per call are noted.
Goals: memory in use at the end within 15 % of that at 30 % of the calls; no more descriptors or tasks;
bytes per call at most 5 % more. Results are exact: every call is answered once, and scores are those that the
endpoint's rule gives. Exits with 1 where anything fails.
"""

import argparse
import asyncio
import gc
import json
import sqlite3
import sys
from contextlib import closing
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import msgspec
from bench_scale import in_use, peak
from chat_simulator import by_content
from pipeline import READING, TASK, examples, pipeline, prompts, scenario
from simulator import simulator

from transfer_prompting.agents.coordinator.evaluator import Evaluator
from transfer_prompting.cli.run import run_event_loop as run
from transfer_prompting.runtime.concurrency import settle
from transfer_prompting.runtime.evaluation.grading import grade
from transfer_prompting.runtime.evaluation.outcomes import Reply
from transfer_prompting.runtime.llm.stack import Models
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.tasks.example import Example, Splits
from transfer_prompting.runtime.tasks.task import messages

CONCURRENCY, AT_ONCE, MARKS = 32, 8, 10
MEMORY, BYTES = 1.15, 1.05


class Mark(msgspec.Struct, frozen=True):
    """State of the process after so many calls; memory in MB, ledger in bytes per call."""

    calls: int
    memory: float
    descriptors: int
    tasks: int
    ledger: float


def descriptors() -> int:
    """Open descriptors of this process; 0 where the system does not list them."""
    listed = Path("/proc/self/fd")
    return len(list(listed.iterdir())) if listed.exists() else 0


def written(ledger: Path) -> int:
    """Bytes of the ledger that hold data; its log of recent writes is not counted."""
    with closing(sqlite3.connect(ledger)) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int(pages) * int(size)


def expected(prompt: Prompt, rows: tuple[Example, ...]) -> float:
    """The accuracy of a prompt by the rule of the endpoint, computed without any call."""
    right = 0
    for row in rows:
        turns = messages(TASK, prompt, row.asked(), READING)
        body = json.dumps({"messages": [{"role": one.role, "content": one.content} for one in turns]})
        completion = json.loads(by_content(body.encode()).partition(b"\r\n\r\n")[2])
        text = completion["choices"][0]["message"]["content"]
        right += grade(TASK, row, Reply(example=row.id, text=text), READING).correct
    return right / len(rows)


class Soak:
    """Rounds of prompts, and what was seen on the way."""

    def __init__(self, calls: int, rows: int, models: int, ledger: Path) -> None:
        self.names = tuple(f"model-{i}" for i in range(models))
        self.splits = Splits(examples(rows), (), ())
        self.count = ceil(calls / (rows * models))
        self.calls = self.count * rows * models
        self.marks: list[Mark] = []
        self.wrong: list[str] = []
        self.checked = 0
        self._ledger = ledger

    async def run(self, evaluator: Evaluator, models: Models) -> None:
        each = max(1, self.count // MARKS)
        done = 0
        while done < self.count:
            some = prompts(min(each, self.count - done), first=done)
            await settle(some, lambda prompt: self._one(evaluator, prompt), limit=AT_ONCE, catch=())
            done += len(some)
            self._note(models.usage().calls)

    async def _one(self, evaluator: Evaluator, prompt: Prompt) -> None:
        found = await evaluator.score(prompt, {TASK.name: self.splits.train}, models=self.names)
        scores = evaluator.cards(found)
        if prompt.text.endswith("0."):  # one in ten is computed anew
            wanted = expected(prompt, self.splits.train)
            for name in self.names:
                seen = scores[TASK.name][name].accuracy
                self.checked += 1
                if seen is None or abs(seen - wanted) > 1e-12:
                    self.wrong.append(f"{prompt.text[-12:]!r} on {name}: accuracy {seen}, not {wanted}")

    def _note(self, calls: int) -> None:
        gc.collect()
        mark = Mark(calls, in_use(), descriptors(), len(asyncio.all_tasks()), written(self._ledger) / calls)
        self.marks.append(mark)
        print(
            f"{calls:>9,} calls: {mark.memory:6.1f} MB, {mark.descriptors} descriptors, {mark.tasks} tasks, "
            f"{mark.ledger:.0f} bytes a call",
            flush=True,
        )

    def failures(self, served: int, counted: int, recorded: int, sent: int) -> list[str]:
        """What did not hold; empty where all did. More HTTP calls may be `sent` than calls are counted: on a
        busy machine some are hedged."""
        early, last = self.marks[min(2, len(self.marks) - 1)], self.marks[-1]
        found = [*self.wrong]
        if not counted == recorded == self.calls:
            found.append(f"{self.calls} calls: {counted} counted, {recorded} in the ledger")
        if served != sent:
            found.append(f"{served} HTTP calls served, {sent} in the ledger")
        if last.memory > MEMORY * early.memory:
            found.append(f"memory grew from {early.memory:.1f} to {last.memory:.1f} MB")
        if last.descriptors > early.descriptors or last.tasks > early.tasks:
            found.append(f"descriptors or tasks grew: {early} to {last}")
        if last.ledger > early.ledger * BYTES:
            found.append(f"bytes a call went from {early.ledger:.0f} to {last.ledger:.0f}")
        return found


async def main(calls: int, rows: int, models: int) -> bool:
    start = perf_counter()
    with (
        simulator("--latency-ms", "1", "--bodies") as server,
        TemporaryDirectory(prefix="tprompt-soak-") as folder,
    ):
        ledger = Path(folder) / "ledger.sqlite"
        soak = Soak(calls, rows, models, ledger)
        whole = scenario(server.base_url, concurrency=CONCURRENCY, models=soak.names)
        async with pipeline(whole, folder=Path(folder), splits=soak.splits) as (evaluator, opened):
            await soak.run(evaluator, opened)
            counted, served = opened.usage().calls, int(server.stats()["served"])
        with closing(sqlite3.connect(ledger)) as connection:
            recorded, sent = connection.execute("SELECT count(*), sum(attempts) FROM calls").fetchone()
    failures = soak.failures(served, counted, int(recorded), int(sent))
    result = {
        "calls": soak.calls,
        "seconds": round(perf_counter() - start),
        "checked": soak.checked,
        "sent": int(sent),
        "peak_mb": round(peak(), 1),
        "marks": [msgspec.to_builtins(mark) for mark in soak.marks],
        "failures": failures[:20],
        "met": not failures,
    }
    print("RESULT", json.dumps(result))
    return not failures


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=2_000_000)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--models", type=int, default=4)
    settings = parser.parse_args()
    outcome: list[bool] = []

    async def go() -> None:
        outcome.append(await main(settings.calls, settings.rows, settings.models))

    run(go)
    sys.exit(0 if outcome == [True] else 1)
