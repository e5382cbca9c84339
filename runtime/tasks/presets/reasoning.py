"""Reasoning: LogiQA, BIG-Bench Hard, grade-school arithmetic."""

import re
from collections.abc import Sequence

from ..data import Values
from ..example import LETTERS
from ..mapping import Raw, Unfit, at, required, text
from .preset import Layout, Preset, Reader
from .readers import listed_options, marked, options, plain, without_options

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


def _agieval(values: Values) -> Raw:
    return _logiqa(
        values,
        text(at(values, "passage"), "passage"),
        text(at(values, "question"), "question"),
        [text(at(values, f"options.{i}"), "an option") for i in range(4)],
        at(values, "label"),
    )


def _eight_lines(values: Values) -> Raw:
    lines = [text(at(values, f"lines.{i}"), "a line") for i in range(8)]
    if lines[0]:
        raise Unfit("a row is a blank line, the answer's letter, passage, question and four options")
    return _logiqa(values, lines[2], lines[3], lines[4:], lines[1])


LOGIQA = Preset(
    name="logiqa",
    title="LogiQA",
    kind="multiple_choice",
    domain="reasoning",
    source="Liu et al. 2020, lgw863/LogiQA-dataset; also in AGIEval and as lucasmccabe/logiqa",
    licence="none stated by its authors",
    description="Logical reasoning questions from the Chinese civil service exam, translated to English: a "
    "passage, a question and four options, one of which follows.",
    prompt="Read the passage and choose the option that answers the question.",
    layouts=(
        Layout("AGIEval", ("passage", "question", "options", "label"), _agieval, leaks=("label",)),
        Layout("original", ("lines",), _eight_lines),
        Layout(
            "hub",
            ("context", "query", "options", "correct_option"),
            options("query", "options", "correct_option", first=0, context="context"),
        ),
        Layout(
            "LogiQA 2.0",
            ("text", "question", "options", "answer"),
            options("question", "options", "answer", first=0, context="text"),
        ),
    ),
    note="the original .txt files hold eight lines a row; a few options are damaged by translation",
    block=8,
)


def _boolean_expression(values: Values) -> Raw:
    return Raw(required(at(values, "input"), "input"), at(values, "target"))


def _yes_no(values: Values) -> Raw:
    return Raw(without_options(values)[0], at(values, "target"))


def _bbh(name: str, title: str, description: str, prompt: str, read: Reader = listed_options) -> Preset:
    kind = "multiple_choice" if read is listed_options else "yes_no" if read is _yes_no else "classification"
    return Preset(
        name=f"bbh_{name}",
        title=f"BIG-Bench Hard: {title}",
        kind=kind,
        domain="reasoning",
        source="Suzgun et al. 2022, suzgunmirac/BIG-Bench-Hard; hub copy lukaemon/bbh",
        licence="MIT",
        description=description,
        prompt=prompt,
        layouts=(Layout("original or hub", ("input", "target"), read),),
        labels=("False", "True") if kind == "classification" else (),
    )


BBH = (
    _bbh(
        "boolean_expressions",
        "boolean expressions",
        "Evaluate an expression of True, False, and, or, not and parentheses.",
        "Evaluate the result of the following Boolean expression.",
        _boolean_expression,
    ),
    _bbh(
        "navigate",
        "navigate",
        "Say whether following a series of steps leads back to the starting point.",
        "Given the navigation steps, determine whether one would end up back at the starting point.",
        _yes_no,
    ),
    _bbh(
        "sports_understanding",
        "sports understanding",
        "Say whether a made-up sentence about an athlete is plausible.",
        "Determine whether the following sentence relating to sports is plausible.",
        _yes_no,
    ),
    _bbh(
        "hyperbaton",
        "hyperbaton",
        "Choose the sentence whose adjectives stand in the usual English order.",
        "Choose the sentence with the correct adjective order.",
    ),
    _bbh(
        "date_understanding",
        "date understanding",
        "Infer a date from a few sentences; five or six options in MM/DD/YYYY.",
        "Infer the date from the context and choose the correct option.",
    ),
    _bbh(
        "multiple_choice",
        "any subset with lettered options",
        "A reasoning question of BIG-Bench Hard with lettered options.",
        "Answer the following question by choosing the correct option.",
    ),
)

GSM8K = Preset(
    name="gsm8k",
    title="GSM8K",
    kind="numeric",
    domain="mathematics",
    source="Cobbe et al. 2021, openai/grade-school-math; hub openai/gsm8k",
    licence="MIT",
    description="Grade-school word problems of two to eight steps of arithmetic; the answer is a number.",
    prompt="Solve the following math word problem and give the final number.",
    layouts=(
        Layout("original or hub", ("question", "answer"), plain("question", "answer"), leaks=("answer",)),
    ),
    note="the worked solution before #### is not shown",
)

PRESETS = (LOGIQA, *BBH, GSM8K)
