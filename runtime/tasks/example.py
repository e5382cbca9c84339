"""One row of a task, as agents pass it around."""

import hashlib
from collections.abc import Iterable

import msgspec

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Example(msgspec.Struct, frozen=True, gc=False):
    """A question with its gold answer.

    `question` is shown to the model, `context` above it where there is one. `choices` are the option texts
    of a multiple-choice row, lettered A, B, … in order; empty elsewhere. `gold` is canonical: a letter
    (multiple choice), a label (classification), labels with commas (several labels), yes/no/maybe, a decimal
    number as text, a JSON object of texts (extraction), or a free text; `also` lists further accepted free
    texts. `fields` are the (name, value) pairs that the task's prompt has variables for, empty where it has
    none.
    """

    id: str
    question: str
    gold: str
    context: str = ""
    choices: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()

    def asked(self) -> "Question":
        """The row without its answer, as a target may see it."""
        return Question(self.id, self.question, self.context, self.choices, self.fields)


class Question(msgspec.Struct, frozen=True, gc=False):
    """An example without its gold answer."""

    id: str
    question: str
    context: str = ""
    choices: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()


class Splits(msgspec.Struct, frozen=True, gc=False):
    """A task's rows: train scores candidates, validation chooses among finalists, test is used once."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]


def digest(rows: Iterable[Example]) -> str:
    """A short digest of the content of rows, whatever their order and ids."""
    contents = sorted(msgspec.msgpack.encode(msgspec.structs.replace(row, id="")) for row in rows)
    return hashlib.blake2b(b"".join(contents), digest_size=6).hexdigest()
