"""One draw of a candidate: what is known, what is allowed, and the reference LLM to write it with."""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from ..runtime.llm.protocol import Message
from ..runtime.prompt import Position, Prompt, normalised
from .messages import Past, Propose

Write = Callable[[tuple[Message, ...]], Awaitable[str]]
"""Sends chat turns to the reference LLM and returns its reply."""


class Draw(msgspec.Struct, frozen=True):
    """What a strategy proposes from.

    `index` counts the draws of one step from 0. `rng` is this draw's own. `operators` are the names the
    scenario chose, in order; `population` is how many of the best a strategy may breed from.
    """

    request: Propose
    index: int
    rng: random.Random
    positions: Sequence[Position]
    operators: Sequence[str]
    population: int
    max_characters: int
    write: Write

    @property
    def turn(self) -> int:
        """The number of this draw among all of its search, from 0."""
        return (self.request.step - 1) * self.request.count + self.index

    @property
    def best(self) -> Past:
        """The best prompt of the history."""
        return self.request.history[-1]

    def fittest(self) -> list[Past]:
        """The best of the history, best first, at most `population`."""
        return list(reversed(self.request.history))[: self.population]

    def parent(self) -> Prompt:
        """A prompt of the history, the better the likelier (weights halve from rank to rank)."""
        ranked = [past.prompt for past in reversed(self.request.history)]
        weights = [0.5**rank for rank in range(len(ranked))]
        return self.rng.choices(ranked, weights)[0]

    def position(self, parent: Prompt) -> Position:
        """The parent's position, or now and then another allowed one."""
        if parent.position in self.positions and self.rng.random() < 0.75:
            return parent.position
        return self.rng.choice(list(self.positions))

    def candidates(self, texts: Sequence[str], origin: str, *parents: Prompt) -> list[Prompt]:
        """Prompts of these texts, at the position of the first parent or now and then another."""
        return [
            Prompt(
                text=normalised(text),
                position=self.position(parents[0]),
                origin=origin,
                parents=tuple(parent.id for parent in parents),
            )
            for text in texts
        ]

    async def ask(self, text: str) -> str:
        """The reply to one user turn."""
        return await self.write((Message("user", text),))


Operator = Callable[[Draw], Awaitable[list[Prompt]]]
"""A way to propose: the candidates of one draw, none where the reply held none."""

Operators = Mapping[str, Operator]
