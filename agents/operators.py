"""Ways to propose a candidate: small steps from what the history holds.

Most go through the reference LLM; `move` and `exemplify` are plain edits. Each names itself in the
candidate's `origin`.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from typing import cast

import msgspec

from .. import prompts
from ..runtime.errors import InputError
from ..runtime.llm.protocol import Message, Role
from ..runtime.prompt import Prompt
from .draw import Draw, Operator, Operators
from .drawing import candidate_texts
from .telling import exemplars_told, failures_told, history_told, notes_told, tasks_told


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
