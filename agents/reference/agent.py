"""The Reference agent: writes candidates and notes with the reference LLM."""

from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial

import msgspec
from anyio.abc import TaskGroup

from ... import prompts
from ...runtime.bus import Bus
from ...runtime.llm.chat import ChatClient, ChatRequest, Message
from ...runtime.messages import CallCost, Propose, Proposed, Reflect, Reflected, ScoredPrompt
from ...runtime.prompt import Position, Prompt
from ...runtime.randomness import derived_seed, generator
from .focus import Focus
from .operators import ProposalContext
from .sections import NOTES, format_failures, format_notes, format_tasks, parse_notes
from .strategies import Strategy

WORKERS = 256
"""Requests handled at once; the model's limits decide how many are sent at once."""


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """Settings for writing candidates: the model its endpoint knows, sampling, and what is allowed.

    The temperature goes from `temperature` at the beginning of a search to `final_temperature` at its end.
    `seeded` sends a sampling seed with each call, so that an endpoint which honours it writes the same again.
    `operators` and `population` are for strategies that use them.
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
    """Answers `Propose` with the candidates of one reply of the reference LLM, and `Reflect` with notes.

    Replies without a usable candidate, and candidates that are too long or known, are counted in `refused` by
    reason. An error of the call goes to the asker.
    """

    def __init__(self, bus: Bus, *, client: ChatClient, writing: Writing, strategy: Strategy) -> None:
        self._bus = bus
        self._client = client
        self._writing = writing
        self._strategy = strategy

    async def start(self, tasks: TaskGroup, *, served: Collection[type] = ()) -> None:
        """Serve both requests, but for those that the host has `served` already."""
        if Propose not in served:
            await tasks.start(partial(self._bus.serve, Propose, self.propose, workers=WORKERS))
        if Reflect not in served:
            await tasks.start(partial(self._bus.serve, Reflect, self.reflect, workers=WORKERS))

    async def propose(self, request: Propose) -> Proposed:
        if not request.history:
            return Proposed((), {"no parent": 1})
        writing = self._writing
        purpose = ("propose", request.key, request.number)
        costs: list[CallCost] = []
        focus = Focus.of(request, generator(writing.seed, "text", request.key, request.number))
        shown = request if focus is None else focus.request
        context = ProposalContext(
            shown,
            generator(writing.seed, *purpose),
            writing.positions,
            writing.operators,
            writing.population,
            writing.max_characters,
            partial(
                self._write,
                derived_seed(writing.seed, *purpose) % 2**31,
                self._temperature(request.progress),
                costs,
            ),
        )
        found = await self._strategy.propose(context)
        refused = Counter[str]()
        chosen = self._chosen(shown, found, refused)
        if focus is not None:
            wholes = [focus.whole(candidate) for candidate in chosen]
            chosen = [whole for whole in wholes if whole is not None]
            refused += Counter({"unparsable reply": wholes.count(None)})
        return Proposed(tuple(chosen), dict(sorted(refused.items())), sum(costs, CallCost()))

    async def reflect(self, request: Reflect) -> Reflected:
        """The notes rewritten; the earlier ones where the reply holds none."""
        text = prompts.render(
            "notes",
            tasks=format_tasks(request.tasks),
            notes=format_notes(request.notes),
            tried="\n\n".join(_tried(one) for one in request.tried),
            failures=format_failures(request.tried[-1].failures),
            count=str(NOTES),
        )
        writing = self._writing
        seed = derived_seed(writing.seed, "notes", request.key, request.number) % 2**31
        costs: list[CallCost] = []
        reply = await self._write(seed, writing.temperature, costs, (Message("user", text),))
        return Reflected(parse_notes(reply) or request.notes, sum(costs, CallCost()))

    def _temperature(self, progress: float) -> float:
        writing = self._writing
        return writing.temperature + progress * (writing.final_temperature - writing.temperature)

    async def _write(
        self, seed: int, temperature: float, costs: list[CallCost], messages: tuple[Message, ...]
    ) -> str:
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
        usage = response.usage
        costs.append(CallCost(response.attempts, usage.prompt_tokens, usage.completion_tokens))
        return response.text

    def _chosen(self, request: Propose, found: Sequence[Prompt], refused: Counter[str]) -> list[Prompt]:
        known = {scored.prompt.id for scored in request.history}
        chosen: dict[str, Prompt] = {}
        if not found:
            refused["unparsable reply"] += 1
        for prompt in found:
            if len(prompt.text) > self._writing.max_characters:
                refused["too long"] += 1
            elif prompt.id in known or prompt.id in chosen:
                refused["seen before"] += 1
            elif len(chosen) < request.count:
                chosen[prompt.id] = prompt
        return list(chosen.values())


def _tried(scored: ScoredPrompt) -> str:
    before = "" if scored.before is None else f" (made from one with score {scored.before})"
    return f"<prompt>{scored.prompt.text}</prompt>\nscore: {scored.score}{before}"
