"""A run of a moment over the simulated world, built in code as a host would."""

from collections.abc import Mapping

import transfer_prompting as tp

from support.clients import FunctionClient, world_client
from support.runs import LABELS, helpful_world
from support.world import World, rows

SPLIT = {"train": 6, "validation": 6, "test": 12}


def brief_scenario(**changes: object) -> tp.Scenario:
    """Few rows of a source and a target task, a small budget; the endpoint `server` is to be handed over."""
    return tp.Scenario.build(
        {
            "name": "brief",
            "seed": 1,
            "endpoints": {"server": {"host": "world-1", "logprobs": False}},
            "models": {
                "writer": {"endpoint": "server", "model": "writer-1"},
                "small": {"endpoint": "server", "model": "small-1"},
            },
            "reference": {"model": "writer", "candidates_per_reply": 1},
            "targets": ["small"],
            "tasks": {name: brief_task(name) for name in ("reviews", "tickets")},
            "stages": {
                "source": {"tasks": ["reviews"], "keep": 1, "share": 0.3, "seed_prompts": ["Decide."]},
                "target": {"tasks": ["tickets"]},
            },
            "budget": {"evaluations": 150},
            **changes,
        }
    )


def brief_task(name: str, count: int = sum(SPLIT.values()), **changes: object) -> Mapping[str, object]:
    labels = LABELS[name]
    return {
        "rows": rows(name, labels, count),
        "kind": "classification",
        "labels": list(labels),
        "split": SPLIT,
        **changes,
    }


def brief_clients(world: World | None = None) -> Mapping[str, FunctionClient]:
    return {"server": world_client(world or helpful_world())}
