"""Search quality at equal numbers of target answers, on published accuracies of real prompts.

python tests/benchmarks/bench_search.py [--seeds 5] [--budgets 300,1000,3000] [--parts skill,source,siblings]

Skill is the share of the possible gain over the original prompt that the final prompt reaches. `skill` runs
strategy `transfer` without a source stage; `source` adds a source task of no use; `siblings` searches five
models of one task at once, with the published accuracies and with models that are alike, each with and
without the exchange between searches. Reads the accuracies from TPROMPT_TEST_DATA, and says so where there
are none.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence

import numpy as np
from prompt_world import CELLS, FOLDER, WRITER, PromptWorld, alike, scenario_task, templates

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.record.results import Results
from transfer_prompting.scenarios import Scenario

SIZES = {300: (40, 20), 1000: (96, 40), 3000: (128, 64)}
"""Rows to train on and to validate on, by budget."""

TEST = 4
LIKE = 0.6


def scenario(
    task: str,
    models: Sequence[str],
    budget: int,
    seed: int,
    *,
    source: str | None = None,
    offers: bool = True,
) -> Scenario:
    train, validation = SIZES.get(budget, SIZES[3000])
    tasks = [task, *([source] if source else [])]
    endpoint = {"base_url": "http://127.0.0.1:1/v1", "logprobs": False, "limits": {"concurrency": 16}}
    return Scenario.build(
        {
            "name": "bench",
            "seed": seed,
            "deterministic": True,
            "endpoints": {"world": endpoint},
            "models": {name: {"endpoint": "world", "model": name} for name in (WRITER, *models)},
            "reference": {"model": WRITER, "positions": ["before"]},
            "scorer": {"objective": {"accuracy": 1.0}},
            "targets": list(models),
            "tasks": {name: scenario_task(name, train, validation, TEST) for name in tasks},
            "stages": {
                "source": {
                    "tasks": [source] if source else [],
                    "seed_prompts": [templates(source or task).texts[0]],
                },
                "target": {"tasks": [task], "offers": offers},
            },
            "budget": {"evaluations": budget * len(models)},
        }
    )


def run(scenario: Scenario, world: PromptWorld) -> Results:
    async def main() -> Results:
        async with Team(scenario, clients={"world": world}) as team:
            return await team.run()

    return asyncio.run(main())


def searched(budget: int, seeds: int, *, useless: bool = False) -> tuple[list[float], list[float], float]:
    """Skills of all cells and seeds, unspent shares, and replies of the reference LLM a run."""
    skills: list[float] = []
    unspent: list[float] = []
    replies = 0
    for task, source, model in CELLS:
        for seed in range(seeds):
            world = PromptWorld(seed)
            results = run(scenario(task, [model], budget, seed, source=source if useless else None), world)
            best = results.targets[0].best.prompt
            tests = TEST * (1 + (best.origin != "original") + len(results.transfer))
            skills.append(templates(task).skill(model, best.text))
            unspent.append(1 - (world.calls - tests) / budget)
            replies += world.replies
    return skills, unspent, replies / len(skills)


def together(budget: int, seeds: int, *, like: float | None, offers: bool) -> list[float]:
    """Skills of five models of one task that are searched at once."""
    skills: list[float] = []
    for task in sorted({task for task, _, _ in CELLS}):
        accuracy = templates(task).accuracy
        able = [
            model
            for model, values in sorted(accuracy.items())
            if values.max() >= 0.4 and 0.1 <= values.max() - values[0] <= 0.5
        ][:5]
        for seed in range(seeds if len(able) > 2 else 0):
            made = alike(task, able, like, seed) if like else {model: accuracy[model] for model in able}
            world = PromptWorld(seed, accuracy=made)
            results = run(scenario(task, able, budget, seed, offers=offers), world)
            for target in results.targets:
                values = made[target.model]
                chosen = values[templates(task).of(target.best.prompt.text)]
                skills.append(float((chosen - values[0]) / (values.max() - values[0])))
    return skills


def interval(values: Sequence[float]) -> str:
    draw = np.random.default_rng(1)
    means = [np.mean(draw.choice(values, len(values))) for _ in range(1000)]
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}] ({len(values)} runs)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budgets", default="300,1000,3000")
    parser.add_argument("--parts", default="skill,source,siblings")
    options = parser.parse_args()
    if not FOLDER.is_dir():
        print(f"no accuracies in {FOLDER}: set TPROMPT_TEST_DATA to a folder that holds prompt_accuracies")
        print("RESULT {}")
        return
    parts = options.parts.split(",")
    found: dict[str, float] = {}
    for budget in [int(one) for one in options.budgets.split(",")]:
        if "skill" in parts:
            skills, unspent, replies = searched(budget, options.seeds)
            print(
                f"{budget}: skill {interval(skills)}, unspent {np.mean(unspent):.3f}, {replies:.0f} replies"
            )
            found[f"skill_{budget}"] = float(np.mean(skills))
            found["unspent"] = max(found.get("unspent", 0.0), float(np.mean(unspent)))
        if "source" in parts and budget == 1000:
            skills, _, _ = searched(budget, options.seeds, useless=True)
            print(f"{budget}: skill with a source task of no use {interval(skills)}")
            found["skill_source_1000"] = float(np.mean(skills))
        if "siblings" in parts and budget < 3000:
            for like in (None, LIKE):
                alone = together(budget, min(3, options.seeds), like=like, offers=False)
                joint = together(budget, min(3, options.seeds), like=like, offers=True)
                name = "siblings" if like is None else "alike_siblings"
                gain = interval([a - b for a, b in zip(joint, alone, strict=True)])
                print(f"{budget}: {name} {interval(joint)}, alone {interval(alone)}, gain {gain}")
                found[f"skill_{name}_{budget}"] = float(np.mean(joint))
                found[f"gain_{name}_{budget}"] = float(np.mean(joint) - np.mean(alone))
    print("RESULT " + json.dumps({name: round(value, 4) for name, value in found.items()}))


if __name__ == "__main__":
    main()
