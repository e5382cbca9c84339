"""Grades of replies: the answer and the confidence that a reply gives, compared with the gold answer."""

import re

import msgspec

from ..tasks.answers.strict import Guess, asked, lenient_guesses, strict_guesses
from ..tasks.example import Example, Question
from ..tasks.task import Reading, Task
from .confidence import agreement, best_guess, most_likely, token_probability, verbalised
from .outcomes import Flaw, Graded, Reply

TEXT_KEPT = 2_000
"""Characters of a reply that are kept beside its grade."""


_REFUSAL = re.compile(
    r"\W*(?:(?:i'm|i am|we're|we are) (?:really |very |so )?sorry\b|sorry,|(?:i apologi[sz]e|my apologies)\b"
    r"|(?:unfortunately, )?(?:i|we) (?:can't|cannot|can not|won't|will not|must decline|decline)\b"
    r"|(?:unfortunately, )?(?:i'm|i am|we're|we are) (?:unable|not able) to\b|as an ai\b)",
    re.IGNORECASE,
)


class Read(msgspec.Struct, frozen=True):
    """The content of a reply: answer (None: unreadable), confidence (None: not given), format kept, rule."""

    answer: str | None = None
    confidence: float | None = None
    followed: bool = False
    rule: str = "none"


def grade(
    task: Task, example: Example, reply: Reply, reading: Reading, *, credit: float | None = None
) -> Graded:
    """The grade of one reply.

    A reply that cannot be read, or was too long for the model, is wrong with confidence 0. It `followed` when
    the strict format gave the answer and, where the model had to state one, the confidence; for agreement the
    first draw counts, so that IFR stays a share of single replies. A confidence that is wanted and cannot be
    had counts as the one furthest from the truth, 0 for a right answer and 1 for a wrong one: leaving it out
    never pays. Where the reading wants none it is None for every reply. `credit` in [0, 1] takes the place of
    the answer space's, where a judge has given one.
    """
    said = Read() if reply.too_long else _read(task, example.asked(), reply, reading)
    if said.answer is None:
        credit = 0.0
    elif credit is None:
        credit = task.answers.credit(said.answer, example)
    correct = credit >= 0.5
    return Graded(
        example=example.id,
        gold=example.gold,
        answer=said.answer,
        correct=correct,
        credit=credit,
        confidence=_confidence(said, reading, correct),
        followed=said.followed,
        rule=said.rule,
        text=reply.text[:TEXT_KEPT],
        completion_tokens=reply.completion_tokens,
        seconds=reply.seconds,
        flaw=_flaw(said, reply, reading),
    )


def _flaw(said: Read, reply: Reply, reading: Reading) -> Flaw | None:
    if reply.too_long:
        return None
    if reply.finish_reason == "content_filter":
        return "filtered"
    likelihood = reading.read == "likelihood"
    if said.answer is None and not likelihood and _REFUSAL.match(reply.text.replace("’", "'")):
        return "refused"
    if reply.finish_reason == "length" and said.answer is None and not likelihood:
        return "cut off"
    if not reply.text.strip() and not likelihood:
        return "empty"
    wanted = likelihood or reading.confidence == "token_probability"
    return "no log-probabilities" if wanted and not reply.tokens else None


def _confidence(said: Read, reading: Reading, correct: bool) -> float | None:
    if reading.read == "generate" and reading.confidence == "none":
        return None
    if said.answer is None:
        return 0.0
    if said.confidence is None:
        return 0.0 if correct else 1.0
    return said.confidence


def _read(task: Task, question: Question, reply: Reply, reading: Reading) -> Read:
    if reading.read == "likelihood":
        likely = most_likely(reply.tokens, task.answers.allowed(question))
        rule = "none" if likely.answer is None else "likelihood"
        return Read(likely.answer, likely.confidence, likely.followed, rule)
    if reading.confidence == "top_k":
        return _guessed(task, question, reply.text)
    first = _stated(task, question, reply.text, verbal=reading.confidence == "verbalised")
    if reading.confidence == "token_probability" and first.answer is not None:
        probability = token_probability(reply.tokens, first.answer, task.answers, question)
        return msgspec.structs.replace(first, confidence=probability)
    if reading.confidence == "agreement":
        return _agreed(task, question, first, reply.samples)
    return first


def _stated(task: Task, question: Question, text: str, *, verbal: bool) -> Read:
    """One generated text: by the strict format, else leniently."""
    lines = task.format.strict(text, confidence=verbal)
    answer = None if lines is None else task.answers.strict(lines.answer, question)
    if lines is not None and answer is not None:
        return Read(answer, lines.confidence, followed=True, rule="strict")
    lines = task.format.lenient(text)
    if lines is not None:
        answer = task.answers.strict(lines.answer, question)
        found = None if answer else task.answers.lenient(lines.answer, question)
        if answer or found:
            confidence = lines.confidence if lines.confidence is not None or not verbal else verbalised(text)
            return Read(answer or (found and found.answer), confidence, rule=task.format.name)
    found = task.answers.lenient(text, question)
    if found is None:
        return Read()
    return Read(found.answer, verbalised(text) if verbal else None, rule=found.rule)


def _agreed(task: Task, question: Question, first: Read, further: tuple[str, ...]) -> Read:
    """The majority of the draws, and the share of all draws that agree with it."""
    draws = [first, *(_stated(task, question, text, verbal=False) for text in further)]
    answer, share = agreement([draw.answer for draw in draws])
    rule = next((draw.rule for draw in draws if draw.answer == answer), "none")
    return Read(answer, share, first.followed, rule)


def _guessed(task: Task, question: Question, text: str) -> Read:
    guesses = strict_guesses(text, asked(task.answers.allowed(question)))
    if guesses is not None:
        answers = [task.answers.strict(guess.answer, question) for guess in guesses]
        if all(answer is not None for answer in answers):
            return _best(answers, guesses, followed=True, rule="strict")
    guesses = lenient_guesses(text)
    found = [task.answers.lenient(guess.answer, question) for guess in guesses]
    if any(found):
        return _best([one and one.answer for one in found], guesses, followed=False, rule="guesses")
    alone = task.answers.lenient(text, question)
    return Read() if alone is None else Read(alone.answer, rule=alone.rule)


def _best(answers: list[str | None], guesses: list[Guess], *, followed: bool, rule: str) -> Read:
    answer, confidence = best_guess(answers, [guess.probability for guess in guesses])
    return Read(answer, confidence, followed, rule)
