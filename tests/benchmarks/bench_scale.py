"""Memory over a large search step: 10 models × 64 candidates × 500 rows, 320,000 calls, in one process.

    python tests/benchmarks/bench_scale.py [--models 10] [--candidates 64] [--rows 500]

All candidates answer every row with every model, through evaluator, bus, Scorer, Target, budget, the ledger
on disk, retries, limits and HTTP; the simulated endpoint is a process of its own. What a search keeps of its
candidates (scorecards, packed outcomes, worst replies) is kept. Goals: a peak below 400 MB, and memory in use
at 50 %, 75 % and 100 % of the calls within 15 % of that at 25 %.
"""

import argparse
import json
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory

from contenders import spent
from pipeline import TASK, Watch, examples, pipeline, prompts, scenario
from simulator import simulator

from transfer_prompting.agents.coordinator.evaluator import Evaluation
from transfer_prompting.cli.run import run_event_loop as run
from transfer_prompting.runtime.concurrency import settle
from transfer_prompting.runtime.llm.chat import ChatClient, ChatRequest, ChatResponse
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.tasks.example import Splits

CONCURRENCY = 32
MARKS = (0.25, 0.5, 0.75, 1.0)
PEAK_MB, GROWTH = 400.0, 1.15


class Memory(Watch):
    """Counts the calls of all models and notes the memory in use, in MB, when each mark is reached."""

    def __init__(self, calls: int) -> None:
        self.used: dict[float, float] = {}
        self._count = 0
        self._marks = {round(mark * calls): mark for mark in MARKS}

    def around(self, client: ChatClient) -> ChatClient:
        return _Counted(client, self)

    def answered(self) -> None:
        self._count += 1
        mark = self._marks.get(self._count)
        if mark is not None:
            self.used[mark] = in_use()
            print(f"{mark:>5.0%} of the calls: {self.used[mark]:6.1f} MB", flush=True)


class _Counted:
    def __init__(self, inner: ChatClient, memory: Memory) -> None:
        self._inner, self._memory = inner, memory

    async def chat(self, request: ChatRequest) -> ChatResponse:
        response = await self._inner.chat(request)
        self._memory.answered()
        return response


def in_use() -> float:
    """This process's resident memory in MB; its peak where the system tells no more."""
    status = Path("/proc/self/status")
    if not status.exists():
        return peak()
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def peak() -> float:
    return getrusage(RUSAGE_SELF).ru_maxrss / 1024


async def main(models: int, candidates: int, rows: int) -> None:
    calls = models * candidates * rows
    names = tuple(f"model-{i}" for i in range(models))
    memory, splits = Memory(calls), Splits(examples(rows), (), ())
    with simulator("--latency-ms", "5") as server, TemporaryDirectory(prefix="tprompt-bench-") as folder:
        async with pipeline(
            scenario(server.base_url, concurrency=CONCURRENCY, models=names),
            folder=Path(folder),
            splits=splits,
            watch=memory,
        ) as (evaluator, opened):

            async def one(prompt: Prompt) -> Evaluation:
                rows = {TASK.name: splits.train}
                return await evaluator.score(prompt, rows, models=names, responses=3)

            rate, cpu_ms = await spent(settle(prompts(candidates), one, limit=candidates), calls)
            assert opened.usage().calls == server.stats()["served"] == calls
    growth = max(memory.used.values()) / memory.used[MARKS[0]]
    result = {
        "calls": calls,
        "calls_per_second": round(rate, 1),
        "cpu_ms": round(cpu_ms, 3),
        "peak_mb": round(peak(), 1),
        "growth_from_25": round(growth, 3),
        "mb_at": {f"{mark:.0%}": round(used, 1) for mark, used in memory.used.items()},
        "met": peak() < PEAK_MB and growth < GROWTH,
    }
    print(f"{rate:.0f} calls/s, {cpu_ms:.3f} ms CPU a call, peak {peak():.0f} MB")
    print("RESULT", json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--candidates", type=int, default=64)
    parser.add_argument("--rows", type=int, default=500)
    settings = parser.parse_args()
    run(main, settings.models, settings.candidates, settings.rows)
