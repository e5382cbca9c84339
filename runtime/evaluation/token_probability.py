"""How sure a generated reply is by the probabilities of the tokens that give its answer."""

import math
import re
from collections.abc import Sequence

import msgspec

from ..llm.protocol import TokenChoice
from ..tasks.answers.numeric import canonical
from ..tasks.answers.space import AnswerSpace
from ..tasks.example import LETTERS, Question
from .likelihood import offered, started, unmarked

_MARKS = str.maketrans({"\u0120": " ", "\u2581": " ", "\u010a": "\n"})
_THOUGHT_END = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_ANNOUNCED = r"\banswer\W*[:\uff1a]\W*"
_LINE = re.compile(r"\banswer[ \t*_]*[:\uff1a]\s*(?P<said>[^\n]+)", re.IGNORECASE)
_NUMERAL = re.compile(r"[-+]?[\d][\d.,/]*")
_REST = re.compile(
    r"\A\s*(?:answer\s*[:\uff1a]\s*)?(?P<said>.+?)(?:\s*\nconfidence\b.*)?\Z", re.I | re.DOTALL
)


class Place(msgspec.Struct, frozen=True):
    """Where the answer stands: characters of the reply, under which name, and what else could stand there."""

    start: int
    end: int
    name: str = ""
    names: tuple[str, ...] = ()


def token_probability(
    tokens: Sequence[TokenChoice], answer: str, answers: AnswerSpace, question: Question
) -> float | None:
    """The probability in [0, 1] that the tokens of a reply give to its answer; None where it is not in them.

    The answer is looked for after `Answer:`, else at the last place where it stands, by its own name or by
    its option's text. In a closed space each token's probability is taken relative to the alternatives that
    still lead to an allowed answer, until only one is left; where the endpoint gave no alternatives it stands
    as it is. In an open space it is the joint probability of a number, and the geometric mean over the tokens
    of a longer text.
    """
    pieces = [token.token.replace("<0x0A>", "\n").translate(_MARKS) for token in tokens]
    text = "".join(pieces)
    allowed = answers.allowed(question)
    place = _named(text, answer, allowed, question) if allowed else _said(text, answer, answers.kind)
    if place is None:
        return None
    covered = _covered(pieces, place)
    if allowed:
        return _relative([tokens[i] for i in covered], place)
    logprobs = [tokens[i].logprob for i in covered if pieces[i].strip()]
    if not logprobs:
        return None
    return min(1.0, math.exp(sum(logprobs) / (1 if answers.kind == "numeric" else len(logprobs))))


def _named(text: str, answer: str, allowed: tuple[str, ...], question: Question) -> Place | None:
    """The last place where a closed space's answer is announced, or else stands at all."""
    ends = [match.end() for match in _THOUGHT_END.finditer(text)]
    after = ends[-1] if ends else 0
    ways = [(answer, allowed)]
    if question.choices and answer in LETTERS[: len(question.choices)]:
        ways.append((question.choices[LETTERS.index(answer)], question.choices))
    for lead in (_ANNOUNCED, r"(?<![^\W_])"):
        for name, names in ways:
            # A lone lower-case letter in running text is a word, not an option.
            case = re.NOFLAG if len(name) == 1 and lead is not _ANNOUNCED else re.IGNORECASE
            pattern = re.compile(rf"{lead}(?P<name>{re.escape(name)})(?![^\W_])", case)
            found = list(pattern.finditer(text, after))
            if found:
                return Place(found[-1].start("name"), found[-1].end("name"), name, names)
    return None


def _said(text: str, answer: str, kind: str) -> Place | None:
    """Where an open space's reply says its answer: the last answer line; without one the last number that
    is equal, or the whole text."""
    lines = list(_LINE.finditer(text))
    if lines and kind != "judged":
        return Place(lines[-1].start("said"), lines[-1].end("said"))
    if kind == "numeric":
        equal = [match for match in _NUMERAL.finditer(text) if canonical(match[0]) == answer]
        return Place(equal[-1].start(), equal[-1].end()) if equal else None
    match = _REST.search(text)
    return Place(match.start("said"), match.end("said")) if match else None


def _covered(pieces: list[str], place: Place) -> list[int]:
    """Indexes of the tokens from where the answer starts; a closed answer's run on to the end, since what
    follows may be what tells it from a longer one."""
    covered: list[int] = []
    at = 0
    for index, piece in enumerate(pieces):
        if at + len(piece) > place.start and (place.names or at < place.end):
            covered.append(index)
        at += len(piece)
    return covered


def _relative(tokens: list[TokenChoice], place: Place) -> float | None:
    """The chosen answer's share of the mass of all answers, token by token until it stands alone."""
    written, share, left = "", 1.0, list(place.names)
    for choice in tokens:
        if not unmarked(written + choice.token):
            written += choice.token
            continue
        own = total = 0.0
        for alternative in offered(choice):
            found = started(written + alternative.token, left)
            mass = math.exp(alternative.logprob) if found else 0.0
            total += mass
            own += mass if place.name in found else 0.0
        written += choice.token
        left = started(written, left)
        if place.name not in left:
            return None if share == 1.0 else share
        share *= _part(own, total, choice)
        if len(left) == 1:
            break
    return min(1.0, share)


def _part(own: float, total: float, choice: TokenChoice) -> float:
    return own / total if choice.top and total else math.exp(choice.logprob)
