"""How well each of eight models of different speeds is used while it has work.

    python tests/benchmarks/bench_models.py [--prompts 16] [--rows 100]

Eight simulated endpoints (each a process of its own) differ in latency and in the calls they allow at once;
two more of their limits are requests per minute. All prompts are scored with all models at once, through
evaluator, bus, Scorer, Target, budget, the ledger on disk, retries, limits and HTTP. `used` is what an
endpoint served, from the first call that reached it to the last, as a share of what it allows in that time:
the calls it held at once of those allowed, or the calls per minute. The goal is 85 % for each: no model waits
for another, so the slowest sets the time. `ideal` is the time that one takes with its allowance fully used.
"""

import argparse
import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from pipeline import TASK, examples, pipeline, prompts, spread
from simulator import simulator

from transfer_prompting.agents.coordinator.evaluator import Evaluation
from transfer_prompting.cli.run import run_event_loop as run
from transfer_prompting.runtime.concurrency import settle
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.tasks.example import Splits

GOAL = 0.85


@dataclass(frozen=True)
class Lane:
    """One endpoint: what a call takes, and what it allows."""

    latency: float
    concurrency: int
    per_minute: int | None = None

    @property
    def per_second(self) -> float:
        """Calls that the allowance lets through."""
        held = self.concurrency / self.latency
        return held if self.per_minute is None else min(held, self.per_minute / 60)

    def used(self, stats: dict[str, Any]) -> float:
        seconds = stats["serving_seconds"]
        if self.per_minute is not None:
            return stats["served"] / seconds / self.per_second
        return stats["held_seconds"] / seconds / self.concurrency

    def limits(self) -> dict[str, int]:
        known = {"concurrency": self.concurrency, "requests_per_minute": self.per_minute}
        return {name: limit for name, limit in known.items() if limit is not None}


LANES = (
    Lane(0.1, 8),
    Lane(0.15, 8),
    Lane(0.2, 32, per_minute=4800),
    Lane(0.3, 16),
    Lane(0.4, 32),
    Lane(0.6, 32),
    Lane(0.8, 64, per_minute=3000),
    Lane(1.2, 64),
)


async def main(candidates: int, rows: int) -> None:
    names = {f"model-{i}": lane for i, lane in enumerate(LANES)}
    splits = Splits(examples(rows), (), ())
    with ExitStack() as servers, TemporaryDirectory(prefix="tprompt-bench-") as folder:
        running = {
            name: servers.enter_context(simulator("--latency-ms", str(1000 * lane.latency)))
            for name, lane in names.items()
        }
        endpoints = {
            name: {"base_url": running[name].base_url, "limits": lane.limits()}
            for name, lane in names.items()
        }
        whole = spread(endpoints, {name: name for name in names})
        async with pipeline(whole, folder=Path(folder), splits=splits) as (evaluator, _):

            async def one(prompt: Prompt) -> Evaluation:
                return await evaluator.score(prompt, {TASK.name: splits.train}, models=tuple(names))

            start = perf_counter()
            await settle(prompts(candidates), one, limit=candidates, catch=())
            seconds = perf_counter() - start
        stats = {name: server.stats() for name, server in running.items()}
    show(names, stats, candidates * rows, seconds)


def show(names: dict[str, Lane], stats: dict[str, dict[str, Any]], calls: int, seconds: float) -> None:
    columns = ("latency", "at once", "per minute", "busy", "used")
    print(f"{'model':<9}", *(f"{column:>10}" for column in columns))
    used = {name: lane.used(stats[name]) for name, lane in names.items()}
    for name, lane in names.items():
        print(
            f"{name:<9} {lane.latency:>8.2f} s {lane.concurrency:>10} {lane.per_minute or '':>10}"
            f" {stats[name]['serving_seconds']:>8.1f} s {used[name]:>10.1%}"
        )
    ideal = max(calls / lane.per_second + lane.latency for lane in names.values())
    print(f"{seconds:.1f} s for {calls} calls to each; ideal {ideal:.1f} s")
    result = {
        "used": {name: round(share, 3) for name, share in used.items()},
        "least_used": round(min(used.values()), 3),
        "seconds": round(seconds, 2),
        "of_ideal": round(ideal / seconds, 3),
        "met": min(used.values()) >= GOAL,
    }
    print("RESULT", json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--rows", type=int, default=100)
    settings = parser.parse_args()
    run(main, settings.prompts, settings.rows)
