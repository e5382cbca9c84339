"""Readers that several public sets share."""

import re
from collections.abc import Sequence

from ..data import Values
from ..example import LETTERS
from ..mapping import Raw, Unfit, at, read_choices, required, text
from .preset import Reader


def plain(question: str, answer: str, *, context: str | None = None, id: str | None = None) -> Reader:
    """A question (or text) and its answer, by dotted paths."""

    def read(values: Values) -> Raw:
        return Raw(
            question=required(at(values, question), question),
            answer=at(values, answer),
            context="" if context is None else text(at(values, context), context),
            id=_id(values, id),
        )

    return read


def options(
    question: str,
    choices: str | Sequence[str],
    answer: str,
    *,
    first: int | None = None,
    context: str | None = None,
    id: str | None = None,
) -> Reader:
    """A multiple-choice row by dotted paths. `first` is the index of the first choice, None for letters."""

    def read(values: Values) -> Raw:
        texts, markers = read_choices(values, choices)
        marks = markers if first is None else [str(first + i) for i in range(len(texts))]
        return Raw(
            question=required(at(values, question), question),
            answer=marked(at(values, answer), marks or LETTERS[: len(texts)], answer),
            context="" if context is None else text(at(values, context), context),
            choices=texts,
            markers=tuple(marks or LETTERS[: len(texts)]),
            id=_id(values, id),
        )

    return read


def marked(value: object, markers: Sequence[str], what: str) -> str:
    """An answer that must be one of the markers. Raises Unfit, as for -1 and '' in unlabelled splits."""
    found = text(value, what)
    if found.upper() not in markers:
        raise Unfit(
            f"{what} is {found!r}, expected one of {', '.join(markers)}; "
            "rows without a gold answer cannot be used"
        )
    return found.upper()


_ADAPTERS = re.compile(
    r"Please choose the correct (?:answer|solution) to the question:\s*(?P<question>.*?)\s*"
    r"(?P<options>(?:Answer|Solution)1:.*?)\s*Answer format:\s*(?P<format>[^\n]*)",
    re.DOTALL,
)


def adapters_options(values: Values) -> Raw:
    """An LLM-Adapters row: options and an answer-format sentence stand inside `instruction`."""
    row = _ADAPTERS.fullmatch(required(at(values, "instruction"), "instruction"))
    if row is None:
        raise Unfit("instruction is not 'Please choose the correct … Answer1: … Answer format: …'")
    names = row["format"].split("/")
    choices: list[str] = []
    rest = row["options"]
    for name in reversed(names):
        rest, found, choice = rest.rpartition(f"{name.capitalize()}:")
        if not found:
            raise Unfit(f"instruction has no option {name!r}, which its answer format names")
        choices.insert(0, required(choice, name))
    if rest.strip():
        raise Unfit(f"instruction has text before its first option: {rest.strip()[:60]!r}")
    answer = text(at(values, "answer"), "answer")
    if answer not in names:
        raise Unfit(f"answer {answer!r} is none of {row['format']}")
    return Raw(
        required(row["question"], "question"),
        LETTERS[names.index(answer)],
        "",
        tuple(choices),
        _letters(choices),
    )


_ADAPTERS_BOOLEAN = re.compile(
    r"Please answer the following question with true or false, question:\s*(?P<question>.*?)\s*"
    r"Answer format:\s*true/false",
    re.DOTALL,
)


def adapters_boolean(values: Values) -> Raw:
    """An LLM-Adapters row to be answered with true or false; its format sentence is taken out."""
    row = _ADAPTERS_BOOLEAN.fullmatch(required(at(values, "instruction"), "instruction"))
    if row is None:
        raise Unfit(
            "instruction is not 'Please answer the following question with true or false, question: …'"
        )
    return Raw(required(row["question"], "question"), at(values, "answer"))


def line(separator: str) -> Reader:
    """A row that is one line, `text<separator>label`; the last separator counts."""

    def read(values: Values) -> Raw:
        whole = required(at(values, "line"), "line")
        words, found, label = whole.rpartition(separator)
        if not found:
            raise Unfit(f"the line holds no {separator!r} before its label: {whole[:60]!r}")
        return Raw(required(words, "the text"), label.strip())

    return read


_LISTED = re.compile(r"\n\s*Options:\s*\n(?P<options>.*)", re.DOTALL)
_LETTERED = re.compile(r"^\(([A-Z])\)\s*", re.MULTILINE)


def listed_options(values: Values) -> Raw:
    """A BIG-Bench Hard row: options `(A) …` a line after `Options:`, the target `(A)` or `A`."""
    question, listed = without_options(values)
    pieces = _LETTERED.split(listed)
    if len(pieces) < 5 or pieces[0].strip() or "".join(pieces[1::2]) != LETTERS[: len(pieces) // 2]:
        raise Unfit("input does not end with lettered options after 'Options:'")
    choices = [required(piece, "an option") for piece in pieces[2::2]]
    answer = marked(text(at(values, "target"), "target").strip("()"), _letters(choices), "target")
    return Raw(question, answer, "", tuple(choices), _letters(choices))


def without_options(values: Values) -> tuple[str, str]:
    """The input of a BIG-Bench Hard row without its list of options, and that list."""
    whole = required(at(values, "input"), "input")
    found = _LISTED.search(whole)
    return (
        (whole, "")
        if found is None
        else (required(whole[: found.start()], "input"), found["options"].strip())
    )


def _letters(choices: Sequence[str]) -> tuple[str, ...]:
    return tuple(LETTERS[: len(choices)])


def _id(values: Values, path: str | None) -> str:
    """The set's own row id where the row has one."""
    return "" if path is None else text(values.get(path), path)
