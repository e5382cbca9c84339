"""Whole runs in virtual time: a client in the process whose calls take as long as a test says."""

from collections.abc import Callable, Mapping

import anyio

import transfer_prompting as tp

from support.brief import brief_scenario, brief_task
from support.clients import FunctionClient, world_client
from support.runs import helpful_world
from support.virtual_time import in_virtual_time
from support.world import World, draw

Latency = Callable[[tp.ChatRequest, int], float]
"""Seconds that a call takes, from its request and its number in order of arrival."""

ROWS = {"train": 40, "validation": 40, "test": 30}


def heavy_tailed(pattern: object, mean: float = 1.0) -> Latency:
    """Latencies of which one in twenty is ten times as long, drawn anew for each pattern."""

    def seconds(request: tp.ChatRequest, number: int) -> float:
        slow = 10 if draw("slow", pattern, number) < 0.05 else 1
        return mean * slow * (0.5 + draw("seconds", pattern, number))

    return seconds


def slow_writer(mean: float = 1.0, written: float = 20.0) -> Latency:
    """Every answer takes a second, every reply of the reference LLM twenty."""
    return lambda request, number: written if request.model == "writer-1" else mean


class TimedClient:
    """Answers as a world does, each call after its own time.

    `busy` are seconds that calls to targets took in all, `times` when each call arrived.
    """

    def __init__(self, latency: Latency, world: World | None = None) -> None:
        self.inner: FunctionClient = world_client(world or helpful_world())
        self.busy = 0.0
        self.times: list[float] = []
        self._latency = latency

    @property
    def requests(self) -> list[tp.ChatRequest]:
        return self.inner.requests

    def asked(self, model: str) -> int:
        """The calls to a model so far."""
        return sum(request.model == model for request in self.requests)

    async def chat(self, request: tp.ChatRequest) -> tp.ChatResponse:
        seconds = self._latency(request, len(self.requests))
        text = (await self.inner.chat(request)).text
        shown = sum(len(message.content) for message in request.messages)
        usage = tp.Usage(shown // 4, 1 + len(text) // 4)
        self.times.append(anyio.current_time())
        if request.model != "writer-1":
            self.busy += seconds
        await anyio.sleep(seconds)
        return tp.ChatResponse(text=text, usage=usage)


def timed_scenario(**changes: object) -> tp.Scenario:
    """One target task of 80 search and 30 test rows and no source stage, 16 calls at once."""
    limits = {"concurrency": 16}
    settings: dict[str, object] = {
        "endpoints": {"server": {"host": "world-1", "logprobs": False, "limits": limits}},
        "reference": {"model": "writer"},
        "tasks": {name: brief_task(name, count=140, split=ROWS) for name in ("reviews", "tickets")},
        "stages": {"source": {"tasks": [], "seed_prompts": ["Decide."]}, "target": {"tasks": ["tickets"]}},
        "budget": {"evaluations": 600},
    }
    return brief_scenario(**{**settings, **changes})


def timed_run(scenario: tp.Scenario, client: TimedClient, *watch: Callable[[tp.Event], object]) -> tp.Results:
    """The results of a run in virtual time; each of `watch` sees every event."""

    async def main() -> tp.Results:
        async with tp.Team(scenario, clients={"server": client}) as team:
            for see in watch:
                team.bus.subscribe(tp.Event, see)
            return await team.run()

    return in_virtual_time(main)


def models(*names: str) -> Mapping[str, object]:
    """The writer and target models of these names."""
    targets = {name: {"endpoint": "server", "model": f"{name}-1"} for name in names}
    return {"writer": {"endpoint": "server", "model": "writer-1"}, **targets}
