"""Whole runs over the simulated world: scenario files, servers and teams for tests."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import yaml

from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.bus import Event
from transfer_prompting.runtime.record.results import Results
from transfer_prompting.scenarios import Scenario, load

from support.chat_server import ChatServer, chat_server
from support.world import World, rows

LABELS = {"reviews": ("good", "bad"), "mails": ("spam", "fine"), "tickets": ("urgent", "routine")}
AT_ONCE = 16
"""Calls in flight that the scenario allows."""
EVALUATIONS = 500
"""Rows answered while searching."""
SPLIT = {"train": 20, "validation": 20, "test": 40}


def helpful_world(**changes: object) -> World:
    """Two words help everywhere, one hurts; the base skill leaves room."""
    worth = {task: {"stepwise": 0.25, "carefully": 0.2, "twice": -0.2} for task in LABELS}
    settings: dict[str, object] = {"labels": LABELS, "worth": {"small-1": worth, "large-1": worth}}
    return World(**{**settings, **changes})  # pyright: ignore[reportArgumentType]


def scenario_data(base_url: str, **changes: object) -> dict[str, object]:
    """A small two-stage scenario over the world's tasks, as a YAML file would hold it."""
    data: dict[str, object] = {
        "name": "simulated",
        "seed": 1,
        "endpoints": {
            "server": {
                "base_url": base_url,
                "limits": {"concurrency": AT_ONCE},
                "logprobs": False,
                "seeded": True,
                # A call that is slow only because the machine is busy would be sent a second time.
                "hedge": False,
            }
        },
        "models": {
            "writer": {"endpoint": "server", "model": "writer-1"},
            "small": {"endpoint": "server", "model": "small-1"},
        },
        "reference": {"model": "writer"},
        "targets": ["small"],
        "tasks": {
            name: {
                "data": f"{name}.jsonl",
                "kind": "classification",
                "labels": list(labels),
                "description": f"Tell {labels[0]} from {labels[1]}.",
                "read": "generate",
                "confidence": "verbalised",
                "split": SPLIT,
            }
            for name, labels in LABELS.items()
        },
        "stages": {
            "source": {
                "tasks": ["reviews", "mails"],
                "keep": 2,
                "share": 0.3,
                "seed_prompts": ["Decide."],
            },
            "target": {"tasks": ["tickets"]},
        },
        "budget": {"evaluations": EVALUATIONS},
    }
    return {**data, **changes}


def write_scenario(folder: Path, data: Mapping[str, object]) -> Path:
    """The scenario file with its data files beside it."""
    for name, labels in LABELS.items():
        lines = (json.dumps(row) for row in rows(name, labels, sum(SPLIT.values())))
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(dict(data), sort_keys=False), encoding="utf-8")
    return path


@asynccontextmanager
async def simulated(
    folder: Path, world: World | None = None, **changes: object
) -> AsyncGenerator[tuple[Scenario, World, ChatServer]]:
    """A running server of the world, and a loaded scenario that points to it."""
    world = world or helpful_world()
    async with chat_server(world) as server:
        yield load(write_scenario(folder, scenario_data(server.base_url, **changes))), world, server


async def finished(scenario: Scenario, out: Path | None = None) -> Results:
    """The results of a whole run."""
    with anyio.fail_after(110):
        async with Team(scenario, out=out) as team:
            return await team.run()


def lasting(results: Results | Event) -> object:
    """Results, or an event, as plain values, without what time and money were spent on them."""
    return _lasting(msgspec.to_builtins(results))


def _lasting(value: object) -> object:
    if isinstance(value, dict):
        return {key: _lasting(inner) for key, inner in value.items() if key not in {"usage", "seconds"}}
    if isinstance(value, list | tuple):
        return [_lasting(inner) for inner in value]
    return value


def finished_folder(folder: Path) -> Path:
    """The output folder, below this one, of a finished run of the simulated scenario."""

    async def finish() -> None:
        async with simulated(folder) as (scenario, _, _), Team(scenario, out=folder / "out") as team:
            await team.run()

    anyio.run(finish)
    return folder / "out"
