"""What racing and the source stage are worth, in simulated worlds whose best prompts are known.

    python tests/benchmarks/bench_search.py [--seeds 10] [--part race|transfer]

`race`: one scenario searched with every candidate on every row, and with each way to stop early. Shown are
the target calls of the searches (train), of the whole run (validation and test included), and the true skill
of the chosen prompts as a share of the best reachable one, with 95 % intervals of the difference over seeds.

`transfer`: one source task and eight targets (four tasks, two models) in worlds where tasks and models share
what works, and where they share nothing. Calls are those on train, the source stage's included, until the
best prompts have 95 % of the skill that can be reached, in the mean over targets. Goal: `transfer` takes at
most half the calls of `opro` where much is shared, and has no advantage where nothing is.
"""

import argparse
import asyncio
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from search_world import LABELS, WRITER, SearchWorld, Shape, row

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.bus import Event
from transfer_prompting.runtime.messages import PromptScored
from transfer_prompting.runtime.record.results import Results
from transfer_prompting.scenarios import Scenario

SOURCES = ("letters", "mails")
TARGETS = ("tickets", "reviews", "orders", "claims")
MODELS = ("small", "large")
TRAIN, VALIDATION, TEST = 128, 64, 64
NEAR = 0.95
FEW_WORDS = Shape(words=12, helpful=4, noise=0.2)
"""A world in which a search of one target gets to the best prompt within its steps."""
RACES: dict[str, dict[str, object]] = {
    "none": {"method": "none"},
    "both": {"method": "both", "block": 8},
    "both 16": {"method": "both", "block": 16},
    "halving 16": {"method": "halving", "block": 16},
    "paired 16": {"method": "paired", "block": 16},
    "paired .4": {"method": "paired", "block": 16, "alpha": 0.4},
}


@dataclass(frozen=True)
class Run:
    """A finished run: its results, and what every search scored on train, in order."""

    results: Results
    scored: dict[str, list[PromptScored]]
    world: SearchWorld

    def searched(self) -> int:
        """Target calls on train."""
        return sum(_rows(event) for events in self.scored.values() for event in events)

    def reached(self) -> float:
        """The chosen prompts' true skill as a share of the best reachable, mean over targets."""
        world = self.world
        shares = [
            world.skill(target.task, target.model, target.best.prompt.text)
            / world.best(target.task, target.model)
            for target in self.results.targets
        ]
        return float(np.mean(shares))

    def calls_until_near(self) -> float:
        """Calls on train until the targets' best prompts are near the best ones, all targets taking their
        steps side by side; inf where they never are."""
        spent = sum(_rows(event) for event in self.scored.get("source", ()))
        climbs = {
            (task, model): Climb(self.world, task, model, self.scored[f"target {task} {model}"])
            for task in TARGETS
            for model in MODELS
        }
        for step in range(1 + max(event.step for climb in climbs.values() for event in climb.events)):
            spent += sum(climb.take(step) for climb in climbs.values())
            if np.mean([climb.share for climb in climbs.values()]) >= NEAR:
                return spent
        return float("inf")


@dataclass
class Climb:
    """One target's search, step by step; `share` is its best prompt's part of the skill to be reached."""

    world: SearchWorld
    task: str
    model: str
    events: Sequence[PromptScored]
    best: float = -1.0
    share: float = 0.0

    def take(self, step: int) -> int:
        """Go on to a step; returns what it cost, in calls."""
        events = [event for event in self.events if event.step == step]
        for event in events:
            if not event.stopped and event.objective is not None and event.objective > self.best:
                self.best = event.objective
                skill = self.world.skill(self.task, self.model, event.prompt.text)
                self.share = skill / self.world.best(self.task, self.model)
        return sum(_rows(event) for event in events)


def _rows(event: PromptScored) -> int:
    return sum(card.n + card.failed for models in event.scores.values() for card in models.values())


def scenario(folder: Path, seed: int, **changes: object) -> Scenario:
    split = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    for task in (*SOURCES, *TARGETS):
        lines = (json.dumps(row(task, number)) for number in range(TRAIN + VALIDATION + TEST))
        (folder / f"{task}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    data: dict[str, object] = {
        "name": "worlds",
        "seed": seed,
        "endpoints": {
            "world": {"base_url": "http://127.0.0.1:9/v1", "limits": {"concurrency": 64}, "logprobs": False}
        },
        "models": {name: {"endpoint": "world", "model": name} for name in (*MODELS, WRITER)},
        "reference": {"model": WRITER, "candidates_per_step": 8, "notes": False, "positions": ["before"]},
        "scorer": {"objective": {"accuracy": 1}},
        "targets": list(MODELS),
        "tasks": {
            task: {
                "data": f"{task}.jsonl",
                "kind": "classification",
                "labels": list(LABELS),
                "description": "Decide.",
                "confidence": "verbalised",
                "split": split,
            }
            for task in (*SOURCES, *TARGETS)
        },
        "stages": {
            "source": {
                "tasks": list(SOURCES),
                "steps": 12,
                "keep": 3,
                "finalists": 4,
                "seed_prompts": ["Decide."],
            },
            "target": {"tasks": list(TARGETS), "steps": 6, "finalists": 3, "transfer": 0},
        },
        **changes,
    }
    return Scenario.model_validate(data).at(folder)


async def searched(seed: int, shape: Shape, **changes: object) -> Run:
    world = SearchWorld(shape, seed, (*SOURCES, *TARGETS), MODELS)
    scored: dict[str, list[PromptScored]] = defaultdict(list)

    def note(event: Event) -> None:
        if isinstance(event, PromptScored) and event.split == "train":
            scored[event.scope].append(event)

    with tempfile.TemporaryDirectory(prefix="tprompt-bench-") as folder:
        whole = scenario(Path(folder), seed, **changes)
        async with Team(whole, clients={"world": world}) as team:
            team.bus.subscribe(Event, note, buffer=100_000)
            results = await team.run()
    return Run(results, scored, world)


async def race(seeds: int) -> dict[str, object]:
    found: dict[str, list[Run]] = {name: [] for name in RACES}
    for seed in range(seeds):
        for name, rules in RACES.items():
            found[name].append(await searched(seed, Shape(), race=rules))
    print(f"{'race':<10}{'calls on train':>16}{'share':>8}{'of all calls':>14}{'reached':>9}  difference")
    table: dict[str, object] = {}
    for method, runs in found.items():
        train = np.array([run.searched() for run in runs])
        whole = np.array([run.results.usage.by_role["target"].calls for run in runs])
        base_train = np.array([run.searched() for run in found["none"]])
        base_whole = np.array([run.results.usage.by_role["target"].calls for run in found["none"]])
        reached = np.array([run.reached() for run in runs])
        low, mean, high = _interval(reached - np.array([run.reached() for run in found["none"]]))
        share, of_all = float(np.mean(train / base_train)), float(np.mean(whole / base_whole))
        print(
            f"{method:<10}{train.mean():>16,.0f}{share:>8.1%}{of_all:>14.1%}{reached.mean():>9.3f}"
            f"  {mean:+.3f} [{low:+.3f}, {high:+.3f}]"
        )
        table[method] = {
            "share": share,
            "share_of_all": of_all,
            "reached": float(reached.mean()),
            "low": low,
            "high": high,
        }
    return table


async def transfer(seeds: int) -> dict[str, object]:
    table: dict[str, object] = {}
    print(f"{'tasks share':<13}{'strategy':<11}{'calls':>9}{'never':>7}{'reached':>9}")
    for name, shared in (("much", 0.8), ("nothing", 0.0)):
        shape = replace(FEW_WORDS, shared=shared)
        calls: dict[str, list[float]] = {}
        for strategy in ("transfer", "opro"):
            runs = [
                await searched(seed, shape, strategy=strategy, stages=_stages(strategy))
                for seed in range(seeds)
            ]
            calls[strategy] = [run.calls_until_near() for run in runs]
            reached = float(np.mean([run.reached() for run in runs]))
            never = sum(np.isinf(calls[strategy]))
            print(f"{name:<13}{strategy:<11}{np.median(calls[strategy]):>9,.0f}{never:>7}{reached:>9.3f}")
            table[f"{name}_{strategy}"] = {
                "median_calls": float(np.median(calls[strategy])),
                "never": int(never),
                "reached": reached,
            }
        ratio = float(np.median(calls["transfer"]) / np.median(calls["opro"]))
        print(f"{name:<13}transfer takes {ratio:.0%} of the calls of opro")
        table[f"{name}_ratio"] = ratio
    return table


def _stages(strategy: str) -> dict[str, object]:
    steps = 20 if strategy == "transfer" else 28
    return {
        "source": {
            "tasks": list(SOURCES[:1]),
            "steps": 8,
            "keep": 3,
            "finalists": 4,
            "seed_prompts": ["Decide."],
        },
        "target": {"tasks": list(TARGETS), "steps": steps, "finalists": 3, "transfer": 0},
    }


def _interval(differences: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> tuple[float, float, float]:
    rng = np.random.default_rng(1)
    drawn = rng.choice(differences, size=(5000, len(differences))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(differences.mean()), float(high)


async def main(seeds: int, part: str | None) -> None:
    result: dict[str, object] = {}
    if part in (None, "race"):
        result["race"] = await race(seeds)
    if part in (None, "transfer"):
        result["transfer"] = await transfer(seeds)
    print("RESULT", json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--part", choices=["race", "transfer"])
    settings = parser.parse_args()
    asyncio.run(main(settings.seeds, settings.part))
