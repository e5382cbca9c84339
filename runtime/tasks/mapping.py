"""From a row to its parts, by the field names of a scenario."""

from collections.abc import Callable, Sequence

import msgspec

from ...scenarios.tasks import Fields, Kind
from ..errors import InputError
from .choices import read_choices
from .data import Values
from .raw import Drop, Raw, Unfit, at, has, required, text
from .template import fill, placeholders

Mapper = Callable[[Values], Raw | Drop]
"""Finds the parts of a row; raises Unfit where it cannot."""

QUESTIONS = ("question", "text", "input")
ANSWERS = ("answer", "label", "target")
CHOICES = ("choices", "options")
CONTEXTS = ("context", "passage")


class FieldMapper(msgspec.Struct, frozen=True):
    """Maps rows by dotted paths; with a template the question comes from that."""

    question: str
    answer: str | None
    context: str | None = None
    choices: str | tuple[str, ...] | None = None
    id: str | None = None
    template: str | None = None

    def __call__(self, values: Values) -> Raw:
        """The parts of a row. Raises Unfit: a field is missing, empty or NaN."""
        choices, markers = ((), ()) if self.choices is None else read_choices(values, self.choices)
        return Raw(
            question=self._question(values),
            answer=None if self.answer is None else at(values, self.answer),
            context="" if self.context is None else text(at(values, self.context), self.context),
            choices=choices,
            markers=markers,
            id="" if self.id is None else required(at(values, self.id), self.id),
        )

    def _question(self, values: Values) -> str:
        if self.template is not None:
            return fill(self.template, values)
        return required(at(values, self.question), self.question)


def by_fields(fields: Fields, template: str | None, kind: Kind, first: Values) -> FieldMapper:
    """The mapper that a task's `fields` and `template` describe.

    What is left out is looked for in the first row under its usual names. Raises InputError where none or
    several of them are there, and where the template shows the answer.
    """
    question = fields.question or ("" if template else _usual("question", QUESTIONS, first))
    answer = fields.answer or _answer(kind, first)
    shown = placeholders(template) if template else [question, fields.context]
    if answer is not None and answer in shown:
        where = "template" if template else "fields"
        raise InputError(f"{where}: {answer!r} holds the answer and must not be shown in the question")
    return FieldMapper(
        question=question,
        answer=answer,
        context=fields.context or (None if template else _one_of(CONTEXTS, first)),
        choices=_choices(fields.choices, kind, first),
        id=fields.id,
        template=template,
    )


def _answer(kind: Kind, first: Values) -> str | None:
    if kind == "judged" and not any(name in first for name in ANSWERS):
        return None
    return _usual("answer", ANSWERS, first)


def _choices(given: str | list[str] | None, kind: Kind, first: Values) -> str | tuple[str, ...] | None:
    if given is not None:
        return given if isinstance(given, str) else tuple(given)
    return _usual("choices", CHOICES, first) if kind == "multiple_choice" else None


def _usual(part: str, names: Sequence[str], first: Values) -> str:
    found = [name for name in names if name in first]
    if len(found) == 1:
        return found[0]
    problem = f"both {' and '.join(found)} could be" if found else f"none of {', '.join(names)} is there for"
    raise InputError(f"fields.{part}: {problem} the {part}; name one of the row's fields: {', '.join(first)}")


def _one_of(names: Sequence[str], first: Values) -> str | None:
    found = [name for name in names if has(first, name)]
    return found[0] if len(found) == 1 else None


__all__ = ["FieldMapper", "Mapper", "Unfit", "by_fields"]
