"""Replies of models: every reader of them, and the grade of every kind of answer."""

import math
from itertools import product

from hypothesis import strategies as st

from transfer_prompting.runtime.evaluation.grading import grade
from transfer_prompting.runtime.evaluation.outcomes import Outcomes, Reply
from transfer_prompting.runtime.llm.chat import TokenChoice, TokenLogprob
from transfer_prompting.runtime.tasks.example import Example
from transfer_prompting.runtime.tasks.task import ConfidenceSource, Reading, Task

from fuzz.mutations import Fixed
from fuzz.targets import Target
from support.readers import FORMS, QUESTION, READERS, SPACES
from support.texts import WORDS, replies

GOLD = {
    "labels": "pos",
    "yes or no": "yes",
    "choice": "B",
    "number": "42",
    "text": "a dog",
    "judged text": "",
    "several labels": "neg, pos",
    "fields": '{"answer":"pos","a":"1"}',
}
LENGTH = 100_000
"""Characters of a long reply."""

CONFIDENCES: tuple[ConfidenceSource, ...] = ("verbalised", "token_probability", "agreement", "top_k", "none")

_WORDS = [
    "pos",
    " pos",
    "ne",
    "neg",
    "B",
    "B.",
    " (B",
    "Answer",
    ":",
    " ",
    "\n",
    "42",
    "</think>",
    "",
    "é",
    "\x00",
]
_LOGPROBS = [-0.0, -1e-300, -0.1, -0.7, -2.5, -40.0, -9999.0, -1.7e308, -math.inf]
_TOPS = [
    tuple(
        TokenLogprob(word, logprob) for word, logprob in zip(_WORDS[at:], _LOGPROBS[at % 5 :], strict=False)
    )
    for at in range(len(_WORDS))
]
TOKENS = [
    TokenChoice(word, logprob, top[: number % 5])
    for number, (word, logprob, top) in enumerate(product(_WORDS, _LOGPROBS, _TOPS))
]
"""Tokens as endpoints give them; made once, since making them takes most of the time of a case."""
OTHERS = {name: reader for name, reader in READERS.items() if name not in SPACES}


def read(text: str) -> None:
    """Every reader returns."""
    for name, reader in OTHERS.items():
        try:
            reader(text)
        except Exception as error:
            error.add_note(f"reader: {name}")
            raise
    lines = FORMS["lines"].strict(text, confidence=False)
    for name, space in SPACES.items():
        found = space.lenient(text, QUESTION)
        allowed = space.allowed(QUESTION)
        assert found is None or not allowed or found.answer in allowed, name
        strict = lines and space.strict(lines.answer, QUESTION)
        if strict is not None and allowed:
            assert found is not None, name
            assert found.answer == strict, name


def graded(case: tuple[str, str, ConfidenceSource, bool, str, list[TokenChoice], list[str]]) -> None:
    """A grade is in range, and can be written."""
    kind, form, confidence, likelihood, text, tokens, samples = case
    text, *samples = (one.encode(errors="replace").decode() for one in (text, *samples))  # as after decoding
    task = Task(kind, "a task", SPACES[kind], "Decide.", format=FORMS[form])
    reading = Reading("likelihood" if likelihood and task.closed else "generate", confidence)
    example = Example("1", "Which?", GOLD[kind], choices=QUESTION.choices if kind == "choice" else ())
    reply = Reply(example="1", text=text, tokens=tuple(tokens), samples=tuple(samples))
    found = grade(task, example, reply, reading)
    assert 0 <= found.credit <= 1
    assert found.confidence is None or 0 <= found.confidence <= 1
    assert found.answer is not None or not found.correct
    assert found.answer is not None or not found.followed or reading.read == "likelihood"
    assert (found.answer is None) == (found.rule == "none")
    allowed = task.answers.allowed(example.asked())
    assert found.answer is None or not allowed or found.answer in allowed
    assert found.answer is None or found.answer.encode()
    assert len(Outcomes.of([found], closed=task.closed).ids) == 1


for _reader in READERS.values():
    _reader("a")  # patterns are compiled once, not in the time of a case


def read_long(case: tuple[str, str, str, str]) -> None:
    """A reader returns within the time of a case, whatever repeats."""
    name, first, unit, last = case
    first, last = first[: LENGTH // 2], last[: LENGTH // 2]
    room = LENGTH - len(first) - len(last)
    unit = unit or " "
    READERS[name](first + (unit * (room // len(unit) + 1))[:room] + last)


_ends = st.sampled_from(["", "a", "Answer: ", "b", "!x", *WORDS])

TARGETS = (
    Target("replies", replies(), read, share=3),
    Target(
        "grades",
        st.tuples(
            st.sampled_from(list(SPACES)).map(Fixed),
            st.sampled_from(list(FORMS)).map(Fixed),
            st.sampled_from(CONFIDENCES).map(Fixed),
            st.booleans(),
            replies(),
            st.lists(st.sampled_from(TOKENS), max_size=5),
            st.lists(replies(), max_size=2),
        ),
        graded,
        share=4,
    ),
    Target(
        "long replies",
        st.tuples(st.sampled_from(list(READERS)).map(Fixed), _ends, replies() | st.text(max_size=4), _ends),
        read_long,
        share=1,
        fresh=0.5,
        seconds=0.05,
    ),
)
