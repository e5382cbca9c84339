"""Optimise the instructions of a pydantic-ai agent.

    export OPENAI_BASE_URL=http://localhost:8000/v1 OPENAI_API_KEY=none
    python examples/pydantic_ai_agent.py

The agent gives a text one of the labels named below it, and says how sure it is. What is optimised are its
instructions: first on reviews, then on support tickets. A writer model proposes them; the agent's own model
answers.
"""

import os
from importlib.resources import files

import anyio
from openai import AsyncOpenAI
from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import UnexpectedModelBehavior
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

import transfer_prompting as tp

DATA = files("transfer_prompting.scenarios") / "data"


class Label(BaseModel):
    """A label for a text."""

    label: str = Field(description="one of the labels, exactly as written")
    confidence: float = Field(ge=0, le=1, description="how sure you are that it is the right one")


def task(name: str, *labels: str) -> dict[str, object]:
    return {
        "data": str(DATA / f"{name}.jsonl"),
        "kind": "classification",
        "labels": list(labels),
        "template": "{text}\n\nLabels: " + ", ".join(labels),
        "confidence": "verbalised",  # the agent states one
        "split": {"train": 10, "validation": 10, "test": 30},
    }


SCENARIO = tp.Scenario.build(
    {
        "name": "pydantic-ai-agent",
        "seed": 1,
        "endpoints": {
            "openai": {"host": "openai"},
            "agent": {"host": "label-agent-1", "limits": {"concurrency": 16}},
        },
        "models": {
            "writer": {"endpoint": "openai", "model": os.environ.get("WRITER_MODEL", "gpt-4.1")},
            "agent": {"endpoint": "agent", "model": "agent"},
        },
        # Instructions belong to the system turn, so their placement is not searched.
        "reference": {"model": "writer", "positions": ["system"]},
        "targets": ["agent"],
        "tasks": {
            "reviews": task("reviews", "negative", "positive"),
            "tickets": task("tickets", "routine", "urgent"),
        },
        "stages": {
            "source": {
                "tasks": ["reviews"],
                "seed_prompts": ["Which label fits this text?"],
                "seed_position": "system",
            },
            "target": {"tasks": ["tickets"]},
        },
        "budget": {"evaluations": 200},
    }
)


def show(search: tp.SearchEnded) -> None:
    print(f"{search.scope}: {search.reason}; {search.cost.calls} calls so far")


async def main() -> None:
    # Calls are retried around the agent, so not by its client.
    async with AsyncOpenAI(max_retries=0) as client:
        model = OpenAIChatModel(
            os.environ.get("TARGET_MODEL", "gpt-4.1-nano"), provider=OpenAIProvider(openai_client=client)
        )
        agent = Agent(model, output_type=NativeOutput(Label))

        async def answer(prompt: tp.Prompt, example: tp.Question) -> str | tp.Response:
            try:
                done = await agent.run(example.question, instructions=prompt.text)
            except UnexpectedModelBehavior:
                return ""  # no output of the right type under these instructions: graded as wrong
            given, used = done.output, done.usage
            return tp.Response(given.label, given.confidence, used.input_tokens, used.output_tokens)

        async with tp.Team(SCENARIO, clients={"openai": client}, targets={"agent": answer}) as team:
            team.bus.subscribe(tp.SearchEnded, show)
            results = await team.run()
    (target,) = results.targets
    print(f"before: {target.baseline.prompt.text}")
    print(f"after:  {target.best.prompt.text}")
    gain = target.gain["objective"]
    print(f"gain on held-out tickets: {gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]")


if __name__ == "__main__":
    anyio.run(main)
