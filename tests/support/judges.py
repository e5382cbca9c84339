"""Scripted judges for the chat server, and the Judge agent that asks them."""

import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio

from transfer_prompting.agents.judge.agent import Judge
from transfer_prompting.agents.judge.rubrics import Judging
from transfer_prompting.agents.target import Sampling
from transfer_prompting.runtime.bus import EncodingBus
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.runtime.messages import JudgedResponse

from support.chat_server import Behaviour, ChatServer, chat_server

RUBRICS = {"relevance": "Does it speak to the question?", "tone": "Is it friendly?"}

Rate = Callable[[str, Mapping[str, Any]], object]
"""What a judge puts for a name, from the name and all that it was shown."""


def rating(rate: Rate) -> Callable[[Mapping[str, Any]], str]:
    """A judge that gives every name of the form it is shown what `rate` says."""

    def reply(body: Mapping[str, Any]) -> str:
        seen = shown(body)
        return json.dumps({name: rate(name, seen) for name in seen["names"]})

    return reply


def shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of what a judge was asked: names of the form in order, qualities in order, tagged texts."""
    text = body["messages"][-1]["content"]
    tagged = dict(re.findall(r"<(asked|response|instruction|reference|a|b)>\n(.*?)\n</\1>", text, re.DOTALL))
    form = text.rsplit("\n", 1)[-1]
    return {
        "names": re.findall(r'"(\w+)": 1 to 5', form),
        "qualities": re.findall(r"^- (\w+): ", text, re.MULTILINE),
        "scale": re.findall(r"^(\d) = ", text, re.MULTILINE),
        "text": text,
        **tagged,
    }


def exhibit(example: str, response: str, reference: str = "") -> JudgedResponse:
    row = f"Question {example}?"
    return JudgedResponse(
        example=example, row=row, asked=f"Answer.\n\n{row}", response=response, reference=reference
    )


@asynccontextmanager
async def bench(
    behaviour: Behaviour,
    *,
    responses: Mapping[str, str] = RUBRICS,
    prompts: Mapping[str, str] | None = None,
    json_object: bool = True,
) -> AsyncGenerator[tuple[EncodingBus, ChatServer]]:
    """A bus on which a Judge serves, and the chat server behind it."""
    judging = Judging(responses=dict(responses), prompts=dict(prompts or {}))
    with anyio.fail_after(30):
        async with (
            chat_server(behaviour) as server,
            AiohttpClient(server.base_url) as client,
            EncodingBus() as bus,
            anyio.create_task_group() as tasks,
        ):
            judge = Judge(
                bus, client=client, sampling=Sampling("judge-1"), judging=judging, json_object=json_object
            )
            await judge.start(tasks, workers=4)
            yield bus, server
            tasks.cancel_scope.cancel()
