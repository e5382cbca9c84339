"""Readers of rows: the functions that the layouts of presets name.

A layout says `read: NAME`, or `read: {NAME: {argument: value}}` for a reader that is made from arguments.
`READERS` and `MAKERS` hold them by name.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from ..data import Values
from ..example import LETTERS
from ..mapping import Drop, Raw, Unfit, at, read_choices, required, text

Reader = Callable[[Values], Raw | Drop]
"""From the fields of a row to its parts. Raises Unfit where a part is missing or empty."""


def plain(
    question: str, answer: str, *, context: str | None = None, id: str | Sequence[str] | None = None
) -> Reader:
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
    id: str | Sequence[str] | None = None,
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
    """An LLM-Adapters row: options and an answer-format sentence are inside `instruction`."""
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


def unlisted(values: Values) -> Raw:
    """A BIG-Bench Hard row to be answered with yes or no; its list of options is left out."""
    return Raw(without_options(values)[0], at(values, "target"))


def yes_no_question(answer: str) -> Reader:
    """A BoolQ row: a question, perhaps without its question mark, and the passage that answers it."""

    def read(values: Values) -> Raw:
        question = required(at(values, "question"), "question")
        question = question if question.endswith("?") else f"{question}?"
        return Raw(question, at(values, answer), required(at(values, "passage"), "passage"))

    return read


def class_title_text(values: Values) -> Raw:
    """A row of AG News without a header: class (from 1), title and description."""
    number = required(at(values, "0"), "class")
    shown = f"{required(at(values, '1'), 'title')}\n{required(at(values, '2'), 'description')}"
    return Raw(shown, str(int(number) - 1) if number.isdecimal() else number)


_MARKER = re.compile(r"\(([A-D])\)\s*|([A-D])[.?:、．]\s*")
_BARE = re.compile(r"([A-D])\s+")


def _logiqa(values: Values, passage: str, question: str, choices: Sequence[str], answer: object) -> Raw:
    """The letters printed before the options rule the answer, also where they are out of order."""
    letter = marked(answer, LETTERS[: len(choices)], "the answer")
    texts = _unmarked(choices)
    return Raw(
        question=required(question, "question"),
        answer=letter,
        context=text(passage, "passage"),
        choices=texts,
        markers=tuple(LETTERS[: len(texts)]),
        id=text(values.get("id"), "id"),
    )


def _unmarked(choices: Sequence[str]) -> tuple[str, ...]:
    """Option texts in order of their printed letters; a damaged marker stays where it is, as text."""
    texts = [required(choice, "an option") for choice in choices]
    found = [_MARKER.match(choice) for choice in texts]
    letters = [(match[1] or match[2]) if match else "" for match in found]
    own = list(LETTERS[: len(texts)])
    if sorted(letters) == own:
        bare = {
            match[1] or match[2]: choice[match.end() :]
            for match, choice in zip(found, texts, strict=True)
            if match
        }
        return tuple(required(bare[letter], "an option") for letter in own)
    if all(choice.startswith((letter, f"({letter})")) for choice, letter in zip(texts, own, strict=True)):
        return tuple(required(_cut(choice), "an option") for choice in texts)
    return tuple(
        required(choice[match.end() :] if match and letter == place else choice, "an option")
        for choice, match, letter, place in zip(texts, found, letters, own, strict=True)
    )


def _cut(choice: str) -> str:
    match = _MARKER.match(choice) or _BARE.match(choice)
    return choice[match.end() :] if match else choice


def agieval(values: Values) -> Raw:
    """A LogiQA row as AGIEval publishes it."""
    return _logiqa(
        values,
        text(at(values, "passage"), "passage"),
        text(at(values, "question"), "question"),
        [text(at(values, f"options.{i}"), "an option") for i in range(4)],
        at(values, "label"),
    )


def eight_lines(values: Values) -> Raw:
    """A LogiQA row of the original files: eight lines, the first one blank."""
    lines = [text(at(values, f"lines.{i}"), "a line") for i in range(8)]
    if lines[0]:
        raise Unfit("a row is a blank line, the answer's letter, passage, question and four options")
    return _logiqa(values, lines[2], lines[3], lines[4:], lines[1])


_LEAD = re.compile(r"(?:句子|事实|文书|咨询)[:：]\s*")
_FRAME = re.compile(r"\[[^\]]+\](?P<framed>.*?)(?:<eoa>)?|(?:[^:：]{1,12}[:：])?(?P<plain>.*)", re.DOTALL)


def _answer(values: Values) -> str:
    """The answer without its frame: `正确答案：C。`, `[正确答案]A<eoa>`, `刑期:4个月`."""
    whole = required(at(values, "answer"), "answer").rstrip("。")
    frame = _FRAME.fullmatch(whole)
    found = (frame["framed"] or frame["plain"] or "") if frame else ""
    return required(found, "answer").rstrip("。")


def _question(values: Values) -> str:
    return _LEAD.sub("", required(at(values, "question"), "question"), count=1)


def lawbench_options(last: str) -> Reader:
    """Options `A:…;B:…` at the end of the question; each marker is taken at its last occurrence."""
    letters = LETTERS[: LETTERS.index(last) + 1]

    def read(values: Values) -> Raw:
        rest, choices = _question(values), list[str]()
        for letter in reversed(letters):
            rest, found, choice = rest.rpartition(f"{letter}:")
            if not found:
                raise Unfit(f"question has no option {letter!r}")
            choices.insert(0, required(choice.strip().rstrip(";；"), f"option {letter}"))
        answer = marked(_answer(values), letters, "answer")
        return Raw(required(rest, "question"), answer, "", tuple(choices), tuple(letters))

    return read


def lawbench_label(values: Values) -> Raw:
    """A text and its label."""
    return Raw(_question(values), _answer(values))


def lawbench_charge(values: Values) -> Raw | Drop:
    """Facts and their charge; rows with several charges are dropped."""
    charges = _answer(values)
    return (
        Drop("more than one charge") if ";" in charges or "；" in charges else Raw(_question(values), charges)
    )


def lawbench_amount(unit: str) -> Reader:
    """A text and a number of `unit`; rows with another answer are dropped."""

    def read(values: Values) -> Raw | Drop:
        found = re.fullmatch(rf"(-?\d+(?:\.\d+)?){unit}", _answer(values))
        return Raw(_question(values), found[1]) if found else Drop(f"the answer is no number of {unit}")

    return read


def _letters(choices: Sequence[str]) -> tuple[str, ...]:
    return tuple(LETTERS[: len(choices)])


def _id(values: Values, names: str | Sequence[str] | None) -> str:
    """The set's own row id, from the first of the fields that holds one."""
    fields = [names] if isinstance(names, str) else names or ()
    return next((found for name in fields if (found := text(values.get(name), name))), "")


READERS: Mapping[str, Reader] = {
    reader.__name__: reader
    for reader in (
        adapters_options,
        adapters_boolean,
        agieval,
        eight_lines,
        class_title_text,
        listed_options,
        unlisted,
        lawbench_label,
        lawbench_charge,
    )
}
"""Readers that take no arguments."""

MAKERS: Mapping[str, Callable[..., Reader]] = {
    maker.__name__: maker
    for maker in (plain, options, line, yes_no_question, lawbench_options, lawbench_amount)
}
"""Functions that make a reader from arguments."""
