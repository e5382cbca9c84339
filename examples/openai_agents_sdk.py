"""Optimise the instructions of an agent of the OpenAI Agents SDK.

    export OPENAI_BASE_URL=http://localhost:8000/v1 OPENAI_API_KEY=none
    python examples/openai_agents_sdk.py

`import agents` is the SDK's; transfer_prompting keeps its own agents inside its package. The agent answers in
free text. The run is durable: called again, it replays finished calls from the folder it writes.
"""

import os
import sys
from importlib.resources import files
from pathlib import Path

import anyio
from agents import Agent, MaxTurnsExceeded, ModelBehaviorError, OpenAIChatCompletionsModel, RunConfig, Runner
from openai import AsyncOpenAI

import transfer_prompting as tp

DATA = files("transfer_prompting.scenarios") / "data"

SCENARIO = tp.Scenario.build(
    {
        "name": "openai-agents-sdk",
        "seed": 1,
        "strategy": "reflect",  # one stage: the tickets alone
        "endpoints": {
            "openai": {"host": "openai"},
            "agent": {"host": "ticket-agent-1", "limits": {"concurrency": 16}},
        },
        "models": {
            "writer": {"endpoint": "openai", "model": os.environ.get("WRITER_MODEL", "gpt-4.1")},
            "agent": {"endpoint": "agent", "model": "agent"},
        },
        "reference": {"model": "writer", "positions": ["system"]},
        "targets": ["agent"],
        "tasks": {
            "tickets": {
                "data": str(DATA / "tickets.jsonl"),
                "kind": "classification",
                "labels": ["routine", "urgent"],
                "template": "Is this ticket routine or urgent?\n\n{text}",
                "split": {"train": 10, "validation": 10, "test": 30},
            }
        },
        "stages": {
            "source": {
                "tasks": ["tickets"],
                "seed_prompts": ["Sort the ticket. Reply with one word."],
                "seed_position": "system",
            },
            "target": {"tasks": ["tickets"]},
        },
        "budget": {"evaluations": 150},
    }
)


async def main(out: Path) -> None:
    async with AsyncOpenAI(max_retries=0) as client:
        model = OpenAIChatCompletionsModel(os.environ.get("TARGET_MODEL", "gpt-4.1-nano"), client)
        sorter = Agent(name="ticket sorter", model=model)
        config = RunConfig(tracing_disabled=True)

        async def answer(prompt: tp.Prompt, example: tp.Question) -> str:
            agent = sorter.clone(instructions=prompt.text)
            try:
                done = await Runner.run(agent, example.question, run_config=config)
            except (MaxTurnsExceeded, ModelBehaviorError):
                return ""  # the agent found no answer under these instructions: graded as wrong
            return str(done.final_output)

        async with tp.Team(SCENARIO, clients={"openai": client}, targets={"agent": answer}, out=out) as team:
            results = await team.run()
    print(results.best("tickets", "agent").text)
    print(f"{results.usage.calls} calls paid, {results.usage.replayed} replayed; more in {out}/report.html")


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1] if len(sys.argv) > 1 else "runs/openai-agents-sdk"))
