"""Forms the judge fills in: each item twice, the second time in the opposite order."""

import re
from collections.abc import Iterable, Mapping
from typing import cast

import msgspec

from ... import prompts
from ...runtime.llm.chat import Message, Role
from ...runtime.messages import JudgedResponse
from ...runtime.prompt import Prompt

_TAG = re.compile(r"<(?=/?(?:asked|response|a|b|reference|instruction)\s*>)", re.IGNORECASE)

Rubrics = Mapping[str, str]
"""Rating instructions by quality."""


class Form(msgspec.Struct, frozen=True):
    """The turns of one reading, and what each name in the reply's object rates."""

    turns: tuple[Message, ...]
    names: dict[str, str]


class Sheet(msgspec.Struct, frozen=True):
    """One item and its two forms."""

    item: str
    first: Form
    second: Form


def response_sheet(exhibit: JudgedResponse, rubrics: Rubrics) -> Sheet:
    """A response, rated on each quality for itself."""

    def form(turned: bool) -> Form:
        names = _ordered(rubrics, turned)
        turns = _turns(
            "judge_response",
            **_common(rubrics, names, turned),
            asked=_material(exhibit.asked),
            response=_material(exhibit.response),
            reference=_reference(exhibit),
        )
        return Form(turns, {name: name for name in names})

    return Sheet(exhibit.example, form(False), form(True))


def prompt_sheet(prompt: Prompt, rubrics: Rubrics) -> Sheet:
    """A prompt's own words, rated on each quality for itself."""

    def form(turned: bool) -> Form:
        names = _ordered(rubrics, turned)
        turns = _turns("judge_prompt", **_common(rubrics, names, turned), prompt=_material(prompt.text))
        return Form(turns, {name: name for name in names})

    return Sheet(prompt.id, form(False), form(True))


def pair_sheet(one: JudgedResponse, other: JudgedResponse, rubrics: Rubrics) -> Sheet:
    """Two responses to the same row, each rated as a whole, as `one` and `other`; each stands first once."""

    def form(turned: bool) -> Form:
        first, second = (other, one) if turned else (one, other)
        names = {"a": "other", "b": "one"} if turned else {"a": "one", "b": "other"}
        turns = _turns(
            "judge_pair",
            **_common(rubrics, tuple(names), turned),
            asked=_material(one.row),
            first=_material(first.response),
            second=_material(second.response),
            reference=_reference(one),
        )
        return Form(turns, names)

    return Sheet(one.example, form(False), form(True))


def _common(rubrics: Rubrics, names: Iterable[str], turned: bool) -> dict[str, str]:
    scale = prompts.template("judge_scale").splitlines()
    return {
        "rubrics": "\n".join(f"- {name}: {rubrics[name]}" for name in _ordered(rubrics, turned)),
        "scale": "\n".join(reversed(scale) if turned else scale),
        "form": "{" + ", ".join(f'"{name}": 1 to 5' for name in names) + "}",
    }


def _ordered(rubrics: Rubrics, turned: bool) -> tuple[str, ...]:
    names = tuple(rubrics)
    return names[::-1] if turned else names


def _reference(exhibit: JudgedResponse) -> str:
    if not exhibit.reference:
        return ""
    return "\n\n" + prompts.render("judge_reference", reference=_material(exhibit.reference))


def _material(text: str) -> str:
    """The text, unable to end the tags it stands between."""
    return _TAG.sub("‹", text.strip())


def _turns(template: str, **values: str) -> tuple[Message, ...]:
    return tuple(Message(cast("Role", role), text) for role, text in prompts.turns(template, **values))
