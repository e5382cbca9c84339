"""Operators: ways to propose a candidate, each a small step from what the history holds."""

import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import cast

import msgspec

from ... import prompts
from ...runtime.llm.chat import Message, Role
from ...runtime.messages import Past, Propose
from ...runtime.prompt import Position, Prompt, normalised
from ...scenarios.errors import InputError
from .sections import candidate_texts, exemplars_told, failures_told, history_told, notes_told, tasks_told

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


@cache
def focuses() -> dict[str, str]:
    """What `improve` may ask to attend to, by name."""
    lines = (line.partition(": ") for line in prompts.template("improve_focus").splitlines())
    return {name: text for name, _, text in lines}


def improve(focus: str) -> Operator:
    """The reference prompt of the method: tasks, ascending history, exemplars, failures and notes, and one
    thing to attend to."""

    async def write(draw: Draw) -> list[Prompt]:
        request = draw.request
        text = prompts.render(
            "improve",
            tasks=tasks_told(request.briefs),
            history=history_told(request.history),
            exemplars=exemplars_told(request.briefs),
            failures=failures_told(draw.best.failures),
            notes=notes_told(request.notes),
            focus=focuses()[focus],
            characters=str(draw.max_characters),
        )
        texts = candidate_texts(await draw.ask(text))
        return draw.candidates(texts, f"improve:{focus}", draw.best.prompt)

    return write


def rewrite(name: str) -> Operator:
    """A small edit of one parent by the reference LLM, shown by examples in the template `rewrite_NAME`.

    Small models copy a pattern of chat turns where they follow no description of it.
    """

    async def edit(draw: Draw) -> list[Prompt]:
        parent = draw.parent()
        return await _rewritten(name, draw, [parent], prompt=parent.text)

    return edit


async def combine(draw: Draw) -> list[Prompt]:
    """Two parents merged by the reference LLM."""
    first = draw.parent()
    others = [past.prompt for past in draw.request.history if past.prompt.text != first.text]
    if not others:
        return []
    second = draw.rng.choice(others)
    return await _rewritten("combine", draw, [first, second], prompt=first.text, other=second.text)


async def move(draw: Draw) -> list[Prompt]:
    """A parent, word for word, at another position."""
    parent = draw.parent()
    others = [position for position in draw.positions if position != parent.position]
    if not others:
        return []
    moved = msgspec.structs.replace(
        parent, position=draw.rng.choice(others), origin="move", parents=(parent.id,)
    )
    return [moved]


async def exemplify(draw: Draw) -> list[Prompt]:
    """A parent with train exemplars of each task behind it, the number drawn; earlier exemplars go."""
    parent = draw.parent()
    words = parent.text.split(f"\n\n{_EXAMPLES}\n")[0]
    shown = [exemplar for brief in draw.request.briefs for exemplar in brief.exemplars]
    if not shown:
        return []
    count = draw.rng.randint(1, len(shown))
    chosen = draw.rng.sample(shown, count)
    lines = "\n\n".join(f"{exemplar.question}\nAnswer: {exemplar.answer}" for exemplar in chosen)
    text = f"{words}\n\n{_EXAMPLES}\n{lines}"
    return draw.candidates([text], "exemplify", parent)


_EXAMPLES = "Examples:"

OPERATORS: Operators = {
    **{f"improve:{focus}": improve(focus) for focus in focuses()},
    **{name: rewrite(name) for name in ("rephrase", "specify", "shorten", "define", "focus")},
    "combine": combine,
    "move": move,
    "exemplify": exemplify,
}
"""Every operator by the name that origins use; a scenario's `improve` stands for all that begin with it."""


def known(names: Sequence[str]) -> tuple[str, ...]:
    """The operators these names stand for; InputError names the first that is none, and the nearest one."""
    found: list[str] = []
    for name in names:
        meant = [one for one in OPERATORS if one == name or one.startswith(f"{name}:")]
        if not meant:
            every = [*OPERATORS, "improve"]
            close = get_close_matches(name, every, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(every)}"
            raise InputError(f"reference.operators: {name!r} is no operator; {hint}")
        found += meant
    return tuple(dict.fromkeys(found))


async def _rewritten(name: str, draw: Draw, parents: Sequence[Prompt], **values: str) -> list[Prompt]:
    template = f"rewrite_{name}"
    if "labels" in prompts.placeholders(template):
        values["labels"] = "; ".join(brief.answers.removeprefix("one of: ") for brief in draw.request.briefs)
    shown = prompts.turns(template, **values)
    reply = await draw.write(tuple(Message(cast("Role", role), text) for role, text in shown))
    copied = {text for _, turn in shown for text in candidate_texts(turn)} | {p.text for p in parents}
    texts = [text for text in candidate_texts(reply) if text not in copied and not _repeats(text)]
    return draw.candidates(texts, name, *parents)


def _repeats(text: str) -> bool:
    """Whether a sentence comes twice: what small models do when they have nothing more to say."""
    sentences = [sentence.strip().casefold() for sentence in re.split(r"[.!?\n]+", text) if sentence.strip()]
    return len(set(sentences)) < len(sentences)
