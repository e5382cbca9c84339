"""Operators: ways to propose candidates, each a small step from what the history holds.

Most go through the reference LLM; `move` and `exemplify` are plain edits. Each names itself in the
candidate's `origin`.
"""

import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import cast

import msgspec

from ... import prompts
from ...runtime.errors import InputError
from ...runtime.llm.chat import Message, Role
from ...runtime.messages import Propose, ScoredPrompt
from ...runtime.prompt import Position, Prompt, normalised
from ...runtime.tasks.template import chat_turns, variables
from ...scenarios.errors import nearest
from .sections import (
    format_exemplars,
    format_failures,
    format_history,
    format_notes,
    format_request,
    format_tasks,
    parse_candidates,
)

Write = Callable[[tuple[Message, ...]], Awaitable[str]]
"""Sends chat turns to the reference LLM and returns its reply."""


class ProposalContext(msgspec.Struct, frozen=True):
    """Everything a strategy proposes from: the request, its own generator, the settings, the reference LLM.

    `operators` are the names the scenario chose, in order; `population` is how many of the best a strategy
    may breed from.
    """

    request: Propose
    rng: random.Random
    positions: Sequence[Position]
    operators: Sequence[str]
    population: int
    max_characters: int
    write: Write

    @property
    def turn(self) -> int:
        """The number of this proposal among all of its search, from 0."""
        return self.request.number - 1

    @property
    def best(self) -> ScoredPrompt:
        """The best prompt of the history."""
        return self.request.history[-1]

    def fittest(self) -> list[ScoredPrompt]:
        """The best of the history, best first, at most `population`."""
        return list(reversed(self.request.history))[: self.population]

    def parent(self) -> Prompt:
        """A prompt of the history, the better the likelier (weights halve from rank to rank)."""
        ranked = [one.prompt for one in reversed(self.request.history)]
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

    def asked(self) -> str:
        """The closing request of a template: how many candidates, and how long."""
        variables = dict.fromkeys(name for task in self.request.tasks for name in task.variables)
        return format_request(self.request.count, self.max_characters, variables)

    async def ask(self, text: str) -> str:
        """The reply to one user turn."""
        return await self.write((Message("user", text),))


Operator = Callable[[ProposalContext], Awaitable[list[Prompt]]]
"""A way to propose: the candidates of one reply, none where it held none."""


@cache
def focuses() -> dict[str, str]:
    """Points of attention of `improve`, by name."""
    lines = (line.partition(": ") for line in prompts.template("improve_focus").splitlines())
    return {name: text for name, _, text in lines}


def improve(focus: str) -> Operator:
    """The reference prompt of the method: tasks, ascending history, exemplars, failures and notes, and one
    point of attention."""

    async def write(context: ProposalContext) -> list[Prompt]:
        request = context.request
        text = prompts.render(
            "improve",
            tasks=format_tasks(request.tasks),
            history=format_history(request.history),
            exemplars=format_exemplars(request.tasks),
            failures=format_failures(context.best.failures),
            notes=format_notes(request.notes),
            focus=focuses()[focus],
            request=context.asked(),
        )
        texts = parse_candidates(await context.ask(text))
        return context.candidates(texts, f"improve:{focus}", context.best.prompt)

    return write


def rewrite(name: str) -> Operator:
    """A small edit of one parent by the reference LLM, shown by examples in the template `rewrite_NAME`.

    Small models copy a pattern of chat turns where they follow no description of it.
    """

    async def edit(context: ProposalContext) -> list[Prompt]:
        parent = context.parent()
        return await _rewritten(name, context, [parent], prompt=parent.text)

    return edit


async def combine(context: ProposalContext) -> list[Prompt]:
    """Two parents merged by the reference LLM."""
    first = context.parent()
    others = [one.prompt for one in context.request.history if one.prompt.text != first.text]
    if not others:
        return []
    second = context.rng.choice(others)
    return await _rewritten("combine", context, [first, second], prompt=first.text, other=second.text)


async def move(context: ProposalContext) -> list[Prompt]:
    """A parent, word for word, at another position."""
    parent = context.parent()
    others = [position for position in context.positions if position != parent.position]
    if not others:
        return []
    position = context.rng.choice(others)
    return [msgspec.structs.replace(parent, position=position, origin="move", parents=(parent.id,))]


async def exemplify(context: ProposalContext) -> list[Prompt]:
    """The best prompt with train exemplars of each task behind it, the number drawn; earlier ones go.

    In a prompt with variables or turns they go to the end of its system turn, or nowhere: behind the row they
    would be taken for a part of it.
    """
    parent = context.best.prompt
    shown = [exemplar for task in context.request.tasks for exemplar in task.exemplars if exemplar.answer]
    if not shown:
        return []
    chosen = context.rng.sample(shown, context.rng.randint(1, len(shown)))
    lines = "\n\n".join(f"{exemplar.question}\nAnswer: {exemplar.answer}" for exemplar in chosen)
    text = _exemplified(parent.text, lines)
    return [] if text is None else context.candidates([text], "exemplify", parent)


_EXAMPLES = "Examples:"


def _exemplified(text: str, lines: str) -> str | None:
    (role, head), *rest = chat_turns(text) or [("", text)]
    if variables(head) or role not in ("", "system"):
        return None
    head = head.split(f"\n\n{_EXAMPLES}\n")[0]
    head = f"{head}\n\n{_EXAMPLES}\n{lines}"
    turns = [(role, head), *rest]
    return "\n\n".join(f"## {one}\n{words}" for one, words in turns) if role else head


OPERATORS: Mapping[str, Operator] = {
    **{f"improve:{focus}": improve(focus) for focus in focuses()},
    **{name: rewrite(name) for name in ("rephrase", "specify", "shorten", "define", "focus")},
    "combine": combine,
    "move": move,
    "exemplify": exemplify,
}
"""Every operator by the name that origins use; a scenario's `improve` stands for all that begin with it."""

FREE = frozenset({"move", "exemplify"})
"""Operators that make no call."""


def known(names: Sequence[str]) -> tuple[str, ...]:
    """The operators these names stand for; InputError names the first that is none, and the nearest one."""
    found: list[str] = []
    for name in names:
        meant = [one for one in OPERATORS if one == name or one.startswith(f"{name}:")]
        if not meant:
            raise InputError(
                f"reference.operators: {name!r} is not an operator; {nearest(name, [*OPERATORS, 'improve'])}"
            )
        found += meant
    return tuple(dict.fromkeys(found))


async def _rewritten(
    name: str, context: ProposalContext, parents: Sequence[Prompt], **values: str
) -> list[Prompt]:
    template = f"rewrite_{name}"
    if "labels" in prompts.placeholders(template):
        answers = (task.answers.removeprefix("one of: ") for task in context.request.tasks)
        values["labels"] = "; ".join(answers)
    shown = prompts.turns(template, **values)
    reply = await context.write(tuple(Message(cast("Role", role), text) for role, text in shown))
    copied = {text for _, turn in shown for text in parse_candidates(turn)} | {p.text for p in parents}
    texts = [text for text in parse_candidates(reply) if text not in copied and not _repeats(text)]
    return context.candidates(texts, name, *parents)


def _repeats(text: str) -> bool:
    """True when a sentence occurs twice, as small models write when they have nothing more to add."""
    sentences = [sentence.strip().casefold() for sentence in re.split(r"[.!?\n]+", text) if sentence.strip()]
    return len(set(sentences)) < len(sentences)
