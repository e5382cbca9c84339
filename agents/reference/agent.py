"""The Reference agent: writes candidates and notes with the reference LLM."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial

import msgspec
from anyio.abc import TaskGroup

from ... import prompts
from ...runtime.bus import Bus
from ...runtime.concurrency import Done, Raised, settle
from ...runtime.errors import BudgetReached, CallFailed, EndpointError
from ...runtime.llm.chat import ChatClient, ChatRequest, Message
from ...runtime.messages import Past, Propose, Proposed, Reflect, Reflected
from ...runtime.prompt import Position, Prompt
from ...runtime.randomness import derived_seed, generator
from .operators import Draw
from .sections import failures_told, notes_told, tasks_told
from .strategies import Strategy

WORKERS = 8
"""Steps of different searches that are written at once."""

NOTES = 8
NOTE_CHARACTERS = 240
"""At most so many notes are kept, each cut to so many characters."""

_NOTES = re.compile(r"<notes>(.*?)(?:</notes>|\Z)", re.DOTALL | re.IGNORECASE)
_BULLET = re.compile(r"^\s*[-*•]\s*")


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """How candidates are written: the model its endpoint knows, sampling, and what is allowed.

    The temperature goes in even steps from `temperature` at the first step of a search to `final_temperature`
    at its last. `seeded` sends a sampling seed with each draw, so that an endpoint which honours it draws the
    same again. `operators` and `population` are for strategies that use them.
    """

    model: str
    temperature: float
    final_temperature: float
    max_tokens: int
    max_characters: int
    operators: tuple[str, ...]
    population: int
    positions: tuple[Position, ...]
    seed: int
    seeded: bool


class Reference:
    """Answers `Propose`: one draw of the strategy per candidate asked for, all at once; and `Reflect`.

    A reply without a usable candidate is counted in `refused` by its reason. When every draw failed for the
    same kind of outside reason, that error is raised: the reference LLM cannot be had.
    """

    def __init__(self, bus: Bus, *, client: ChatClient, writing: Writing, strategy: Strategy) -> None:
        self._bus = bus
        self._client = client
        self._writing = writing
        self._strategy = strategy

    async def start(self, tasks: TaskGroup) -> None:
        await tasks.start(partial(self._bus.serve, Propose, self.propose, workers=WORKERS))
        await tasks.start(partial(self._bus.serve, Reflect, self.reflect, workers=WORKERS))

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

    async def reflect(self, request: Reflect) -> Reflected:
        """The notes rewritten; the earlier ones where the reply holds none."""
        text = prompts.render(
            "notes",
            tasks=tasks_told(request.briefs),
            notes=notes_told(request.notes),
            tried="\n\n".join(_tried(past) for past in request.tried),
            failures=failures_told(request.tried[-1].failures),
            count=str(NOTES),
        )
        writing = self._writing
        seed = derived_seed(writing.seed, "notes", request.key, request.step) % 2**31
        reply = await self._write(seed, writing.temperature, (Message("user", text),))
        return Reflected(_notes(reply) or request.notes)

    async def _draw(self, request: Propose, index: int) -> list[Prompt]:
        writing = self._writing
        purpose = ("draw", request.key, request.step, index)
        seed = derived_seed(writing.seed, *purpose) % 2**31
        draw = Draw(
            request,
            index,
            generator(writing.seed, *purpose),
            writing.positions,
            writing.operators,
            writing.population,
            writing.max_characters,
            partial(self._write, seed, self._temperature(request)),
        )
        return await self._strategy.propose(draw)

    def _temperature(self, request: Propose) -> float:
        writing = self._writing
        passed = (request.step - 1) / max(1, request.steps - 1)
        return writing.temperature + passed * (writing.final_temperature - writing.temperature)

    async def _write(self, seed: int, temperature: float, messages: tuple[Message, ...]) -> str:
        writing = self._writing
        response = await self._client.chat(
            ChatRequest(
                model=writing.model,
                messages=messages,
                max_tokens=writing.max_tokens,
                temperature=temperature,
                seed=seed if writing.seeded else None,
                sample=seed,
            )
        )
        return response.text

    def _chosen(self, request: Propose, drawn: Sequence[list[Prompt]], refused: Counter[str]) -> list[Prompt]:
        known = {past.prompt.id for past in request.history}
        chosen: dict[str, Prompt] = {}
        for found in drawn:
            if not found:
                refused["no candidate in the reply"] += 1
            for prompt in found:
                if len(prompt.text) > self._writing.max_characters:
                    refused["too long"] += 1
                elif prompt.id in known or prompt.id in chosen:
                    refused["seen before"] += 1
                elif len(chosen) < request.count:
                    chosen[prompt.id] = prompt
        return list(chosen.values())


def _tried(past: Past) -> str:
    before = "" if past.before is None else f" (made from one with score {past.before})"
    return f"<prompt>{past.prompt.text}</prompt>\nscore: {past.score}{before}"


def _notes(reply: str) -> tuple[str, ...]:
    """The notes between the tags, a line each."""
    found = _NOTES.search(reply)
    lines = [_BULLET.sub("", line).strip() for line in found[1].splitlines()] if found else []
    return tuple(dict.fromkeys(line[:NOTE_CHARACTERS] for line in lines if line))[:NOTES]
