"""Wall-clock time of a search over its lower bound, with slow tails and a slow reference LLM.

    python tests/benchmarks/bench_wall.py [--calls 4730] [--slots 64]

Every call takes a lognormal time (median 1 s, sigma 0.8), the reference LLM eight times that; each target has
its own slots. Time is virtual, so minutes take seconds to measure. The bound is the seconds of serving over
the slots. `siblings` has five targets on one endpoint.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
from prompt_world import FOLDER, WRITER, PromptWorld, scenario_task, templates

sys.path.insert(0, str(Path(__file__).parents[1]))

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.record.results import Results
from transfer_prompting.scenarios import Scenario

from support.virtual_time import in_virtual_time

TASK = "penguins_in_a_table"


def scenario(models: Sequence[str], calls: int, slots: int, *, deterministic: bool) -> Scenario:
    endpoint = {"logprobs": False, "limits": {"concurrency": slots}}
    return Scenario.build(
        {
            "name": "wall",
            "deterministic": deterministic,
            "endpoints": {
                "world": {"base_url": "http://127.0.0.1:1/v1", **endpoint},
                "writing": {"base_url": "http://127.0.0.1:2/v1", **endpoint},
            },
            "models": {
                WRITER: {"endpoint": "writing", "model": WRITER},
                **{name: {"endpoint": "world", "model": name} for name in models},
            },
            "reference": {"model": WRITER, "positions": ["before"]},
            "scorer": {"objective": {"accuracy": 1.0}},
            "targets": list(models),
            "tasks": {TASK: scenario_task(TASK, 128, 64, 8)},
            "stages": {
                "source": {"tasks": [], "seed_prompts": [templates(TASK).texts[0]]},
                "target": {"tasks": [TASK]},
            },
            "budget": {"evaluations": calls},
        }
    )


def measured(
    models: Sequence[str], calls: int, slots: int, *, deterministic: bool
) -> tuple[float, float, float]:
    """Virtual seconds of a run, their ratio to the bound, and the mean skill."""
    world = PromptWorld(1, latency=1.0, writer_latency=8.0)

    async def main() -> tuple[Results, float]:
        clients = {"world": world, "writing": world}
        async with Team(scenario(models, calls, slots, deterministic=deterministic), clients=clients) as team:
            return await team.run(), anyio.current_time()

    results, wall = in_virtual_time(main)
    bound = world.seconds / (slots * len(models))
    skills = [templates(TASK).skill(target.model, target.best.prompt.text) for target in results.targets]
    return wall, wall / bound, sum(skills) / len(skills)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=4730)
    parser.add_argument("--slots", type=int, default=64)
    options = parser.parse_args()
    if not FOLDER.is_dir():
        print(f"no accuracies in {FOLDER}: set TPROMPT_TEST_DATA to a folder that holds prompt_accuracies")
        print("RESULT {}")
        return
    two, five = ("vicuna-13b", "t0pp"), sorted(templates(TASK).accuracy)[:5]
    found: dict[str, float] = {}
    for name, models, deterministic in (
        ("wall_over_bound", two, False),
        ("wall_over_bound_siblings", five, False),
        ("wall_over_bound_deterministic", two, True),
    ):
        wall, over, skill = measured(models, options.calls, options.slots, deterministic=deterministic)
        print(f"{name}: {wall:.0f} s, {over:.2f} times the bound, skill {skill:.3f}")
        found[name] = over
    print("RESULT " + json.dumps({name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
