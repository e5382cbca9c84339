"""The Reference agent: writes candidates with the reference LLM."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

import msgspec
from anyio.abc import TaskGroup

from ..runtime.bus import Bus
from ..runtime.concurrency import Done, Raised, settle
from ..runtime.errors import BudgetReached, CallFailed, EndpointError
from ..runtime.llm.protocol import ChatClient, ChatRequest, Message
from ..runtime.prompt import Position, Prompt
from ..runtime.randomness import derived_seed, generator
from .messages import Propose, Proposed
from .operators import OPERATORS, Draw

WORKERS = 8
"""Steps of different searches that are written at once."""


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """How candidates are written: the model its endpoint knows, sampling, and what is allowed.

    `seeded` sends a sampling seed with each draw, so that an endpoint which honours it draws the same again.
    """

    model: str
    temperature: float
    max_tokens: int
    max_characters: int
    operators: tuple[str, ...]
    positions: tuple[Position, ...]
    seed: int
    seeded: bool


class Reference:
    """Answers `Propose`: one draw per candidate asked for, all at once, the operators taking turns.

    A reply without a usable candidate is counted in `refused` by its reason. When every draw failed for the
    same kind of outside reason, that error is raised: the reference LLM cannot be had.
    """

    def __init__(self, bus: Bus, *, client: ChatClient, writing: Writing) -> None:
        self._bus = bus
        self._client = client
        self._writing = writing

    async def start(self, tasks: TaskGroup) -> None:
        await tasks.start(partial(self._bus.serve, Propose, self.propose, workers=WORKERS))

    async def propose(self, request: Propose) -> Proposed:
        if not request.history:
            return Proposed((), {"nothing to start from": request.count})
        draws = range(request.count)
        catch = (CallFailed, EndpointError, BudgetReached)
        ends = await settle(draws, partial(self._draw, request), limit=request.count, catch=catch)
        errors = [end.error for end in ends if isinstance(end, Raised)]
        spent = next((error for error in errors if isinstance(error, BudgetReached)), None)
        if spent is not None or len(errors) == len(ends):
            raise spent or errors[0]
        refused = Counter({"call failed": len(errors)} if errors else {})
        drawn = [end.value for end in ends if isinstance(end, Done)]
        chosen = self._chosen(request, drawn, refused)
        return Proposed(tuple(chosen), dict(sorted(refused.items())))

    async def _draw(self, request: Propose, index: int) -> list[Prompt]:
        writing = self._writing
        turn = (request.step - 1) * request.count + index
        name = writing.operators[turn % len(writing.operators)]
        purpose = ("draw", request.key, request.step, index)
        draw_seed = derived_seed(writing.seed, *purpose) % 2**31

        async def write(messages: tuple[Message, ...]) -> str:
            response = await self._client.chat(
                ChatRequest(
                    model=writing.model,
                    messages=messages,
                    max_tokens=writing.max_tokens,
                    temperature=writing.temperature,
                    seed=draw_seed if writing.seeded else None,
                    sample=draw_seed,
                )
            )
            return response.text

        rng = generator(writing.seed, *purpose)
        draw = Draw(request, index, rng, writing.positions, writing.max_characters, write)
        return await OPERATORS[name](draw)

    def _chosen(self, request: Propose, drawn: Sequence[list[Prompt]], refused: Counter[str]) -> list[Prompt]:
        known = {past.prompt.id for past in request.history}
        chosen: dict[str, Prompt] = {}
        for prompts in drawn:
            if not prompts:
                refused["no candidate in the reply"] += 1
            for prompt in prompts:
                if len(prompt.text) > self._writing.max_characters:
                    refused["too long"] += 1
                elif prompt.id in known or prompt.id in chosen:
                    refused["seen before"] += 1
                elif len(chosen) < request.count:
                    chosen[prompt.id] = prompt
        return list(chosen.values())
