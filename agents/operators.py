"""Ways to propose a candidate: small steps from what the history holds.

Most go through the reference LLM; `move` and `exemplify` are plain edits. Each names itself in the
candidate's `origin`.
"""

import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import cast

import msgspec

from .. import prompts
from ..runtime.errors import InputError
from ..runtime.llm.protocol import Message, Role
from ..runtime.prompt import Position, Prompt, normalised
from .drawing import candidate_texts
from .messages import Brief, Failure, Past, Propose

Write = Callable[[tuple[Message, ...]], Awaitable[str]]
"""Sends chat turns to the reference LLM and returns its reply."""


class Draw(msgspec.Struct, frozen=True):
    """One draw: what is asked for, the randomness and the positions it may use, and the reference LLM."""

    request: Propose
    index: int
    rng: random.Random
    positions: Sequence[Position]
    max_characters: int
    write: Write

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


Operator = Callable[[Draw], Awaitable[list[Prompt]]]


async def improve(draw: Draw) -> list[Prompt]:
    """The reference prompt of the method: tasks, ascending history, exemplars, failures, one focus a draw."""
    request = draw.request
    best = request.history[-1].prompt
    focuses = prompts.template("improve_focus").splitlines()
    text = prompts.render(
        "improve",
        tasks=_tasks(request.briefs),
        history=_history(request.history),
        exemplars=_exemplars(request.briefs),
        failures=_failures(request.failures),
        focus=focuses[(request.step + draw.index) % len(focuses)],
        characters=str(draw.max_characters),
    )
    reply = await draw.write((Message("user", text),))
    return _candidates(candidate_texts(reply), "improve", draw, best)


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
    return _candidates([text], "exemplify", draw, parent)


_EXAMPLES = "Examples:"

OPERATORS: Mapping[str, Operator] = {
    "improve": improve,
    **{name: rewrite(name) for name in ("rephrase", "specify", "shorten", "define", "focus")},
    "combine": combine,
    "move": move,
    "exemplify": exemplify,
}
"""Every operator by the name that scenarios and origins use."""


def known(names: Sequence[str]) -> tuple[str, ...]:
    """The names, when all are operators; InputError names the first that is none, and the nearest one."""
    for name in names:
        if name not in OPERATORS:
            close = get_close_matches(name, OPERATORS, n=1)
            meant = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(OPERATORS)}"
            raise InputError(f"reference.operators: {name!r} is no operator; {meant}")
    return tuple(names)


async def _rewritten(name: str, draw: Draw, parents: Sequence[Prompt], **values: str) -> list[Prompt]:
    template = f"rewrite_{name}"
    if "labels" in prompts.placeholders(template):
        values["labels"] = "; ".join(brief.answers.removeprefix("one of: ") for brief in draw.request.briefs)
    shown = prompts.turns(template, **values)
    reply = await draw.write(tuple(Message(cast("Role", role), text) for role, text in shown))
    copied = {text for _, turn in shown for text in candidate_texts(turn)} | {p.text for p in parents}
    texts = [text for text in candidate_texts(reply) if text not in copied and not _repeats(text)]
    return _candidates(texts, name, draw, *parents)


def _repeats(text: str) -> bool:
    """Whether a sentence comes twice: what small models do when they have nothing more to say."""
    sentences = [sentence.strip().casefold() for sentence in re.split(r"[.!?\n]+", text) if sentence.strip()]
    return len(set(sentences)) < len(sentences)


def _candidates(texts: Sequence[str], origin: str, draw: Draw, *parents: Prompt) -> list[Prompt]:
    return [
        Prompt(
            text=normalised(text),
            position=draw.position(parents[0]),
            origin=origin,
            parents=tuple(parent.id for parent in parents),
        )
        for text in texts
    ]


def _tasks(briefs: Sequence[Brief]) -> str:
    return "\n".join(f"- {brief.description} Answers: {brief.answers}." for brief in briefs)


def _history(history: Sequence[Past]) -> str:
    return "\n\n".join(f"<prompt>{past.prompt.text}</prompt>\nscore: {past.score}" for past in history)


def _exemplars(briefs: Sequence[Brief]) -> str:
    return "\n\n".join(
        f"{exemplar.question}\nRight answer: {exemplar.answer}"
        for brief in briefs
        for exemplar in brief.exemplars
    )


def _failures(failures: Sequence[Failure]) -> str:
    faults = {
        "answer": "the answer was wrong",
        "format": "the answer was right, its format was not",
        "confidence": "the confidence misled",
    }
    return "\n\n".join(
        f"{failure.question}\nResponse: {failure.response}\nRight answer: {failure.expected}"
        f" ({faults[failure.fault]})"
        for failure in failures
    )
