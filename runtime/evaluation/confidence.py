"""Confidence of a reply: by agreement of draws, by label likelihood, by token probability."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations

import msgspec

from ..llm.chat import TokenChoice, TokenLogprob
from ..tasks.answers.cleaning import folded
from ..tasks.answers.numeric import canonical
from ..tasks.answers.space import AnswerSpace
from ..tasks.answers.stated import verbalised as verbalised
from ..tasks.example import LETTERS, Question


def agreement(answers: Sequence[str | None]) -> tuple[str | None, float]:
    """The most frequent answer and the share of all draws that gave it, in [0, 1].

    Ties go to the answer given first. A draw without an answer agrees with none. (None, 0) without answers.
    """
    counts = Counter(answer for answer in answers if answer is not None)
    if not counts:
        return None, 0.0
    answer, count = counts.most_common(1)[0]
    return answer, count / len(answers)


def best_guess(answers: Sequence[str | None], probabilities: Sequence[float]) -> tuple[str | None, float]:
    """The guess with the highest probability, ties to the earlier, and that probability in [0, 1].

    A guess that is no answer (None) is passed over, but its probability counts: when all of them add up to
    more than 1, they are divided by their sum. Repeated guesses add up.
    """
    mass: dict[str, float] = {}
    for answer, probability in zip(answers, probabilities, strict=True):
        if answer is not None:
            mass[answer] = mass.get(answer, 0.0) + probability
    if not mass:
        return None, 0.0
    answer = max(mass, key=lambda guess: mass[guess])
    return answer, mass[answer] / max(1.0, sum(probabilities))


_MARKERS = re.compile(r"^(?:[\s\u0120\u2581\u010a(\[\"'`*]|<0x0A>)+")
"""Marks that tokenisers and models put before a word: spaces (also as Ġ or ▁), newlines, quotes, brackets."""

_SHARED = 3
"""Number of equal first letters at which labels are likely to begin with the same token."""


class Likely(msgspec.Struct, frozen=True):
    """The most likely answer, None where no alternative starts one; its share of the mass of all answers,
    in [0, 1]; and whether the most likely token starts an allowed answer."""

    answer: str | None
    confidence: float
    followed: bool


def most_likely(tokens: Sequence[TokenChoice], allowed: Sequence[str]) -> Likely:
    """The answer that the first token's alternatives make most likely.

    The mass of an answer is the summed probability of the alternatives that start it and no other: with or
    without a space before it, in either case. Ties go to the answer that comes first in `allowed`. Where
    there are no alternatives only the chosen token counts.
    """
    alternatives = offered(tokens[0]) if tokens else ()
    mass = dict.fromkeys(allowed, 0.0)
    for alternative in alternatives:
        found = started(alternative.token, allowed)
        if len(found) == 1:
            mass[found[0]] += math.exp(alternative.logprob)
    total = sum(mass.values())
    first = max(alternatives, key=lambda alternative: alternative.logprob, default=None)
    followed = first is not None and bool(started(first.token, allowed))
    if not total:
        return Likely(None, 0.0, followed)
    answer = max(allowed, key=lambda label: mass[label])
    return Likely(answer, mass[answer] / total, followed)


def offered(choice: TokenChoice) -> tuple[TokenLogprob, ...]:
    """The alternatives of a token, with the chosen one where the endpoint left it out."""
    chosen = TokenLogprob(choice.token, choice.logprob)
    if any(alternative.token == choice.token for alternative in choice.top):
        return choice.top
    return (chosen, *choice.top)


_LONGEST_NAME = 1_000
"""Characters of tokens in which an answer is looked for; no answer is as long."""


def started(written: str, answers: Iterable[str]) -> list[str]:
    """The answers that a text begins: it is their beginning, or they are its beginning and end in it.

    ` pos` starts `positive`; `B.` starts `B`, and so does `B\\n`, but `Because` does not. A line break ends
    an answer. `spam offer` starts the label of this name, and not also a label `spam`.
    """
    line, ended, _ = unmarked(written[:_LONGEST_NAME]).partition("\n")
    text = folded(line)
    if not text:
        return []
    names = {answer: folded(answer) for answer in answers}
    complete = [name for name in names.values() if _within(name, text)]
    longest = max(map(len, complete), default=0)
    growing = not ended and any(len(name) > longest and name.startswith(text) for name in names.values())
    return [
        answer
        for answer, name in names.items()
        if (name.startswith(text) and (not ended or name == text))
        or (_within(name, text) and len(name) == longest and not (growing and name != text))
    ]


def unmarked(written: str) -> str:
    """The text without what only leads up to a word."""
    return _MARKERS.sub("", written)


def distinguishable(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of labels that one token may not distinguish: they begin with the same word or three letters,
    or one begins the other. Empty when all is well."""
    return [(one, other) for one, other in combinations(labels, 2) if _clash(folded(one), folded(other))]


def _within(name: str, text: str) -> bool:
    """True when the text is the name, or the name followed by something that is no part of the word."""
    rest = text.removeprefix(name)
    return text == name or (rest != text and not rest[0].isalnum())


def _clash(one: str, other: str) -> bool:
    shorter = min(len(one), len(other), _SHARED)
    return one[:shorter] == other[:shorter] or one.split(" ")[0] == other.split(" ")[0]


_MARKS = str.maketrans({"\u0120": " ", "\u2581": " ", "\u010a": "\n"})
_THOUGHT_END = re.compile(
    r"</(?:seed:)?(?:think|thinking|thought|reasoning|analysis)>|\[/THINK\]|◁/think▷|<\|END_THINKING\|>"
    r"|<\|channel\|>final<\|message\|>|assistantfinal",
    re.IGNORECASE,
)
_ANNOUNCED = r"\banswer\W{0,9}[:\uff1a]\W{0,9}"
_LINE = re.compile(r"\banswer[ \t*_]{0,9}[:\uff1a]\s{0,9}(?P<said>\S[^\n]*)", re.IGNORECASE)
_NUMERAL = re.compile(r"[-+]?\d[\d.,/]{0,300}")
_MOST_NUMERALS = 30
"""Numbers that are compared with the answer, from the end of the reply."""

_NUMERALS_END = 20_000
"""Characters at the end of the reply in which they are looked for."""

_LEADING = re.compile(r"\s*(?:answer\s{0,9}[:\uff1a]\s*)?", re.IGNORECASE)
_STATEMENT = re.compile(r"\n\s{0,9}confidence\b", re.IGNORECASE)


class Place(msgspec.Struct, frozen=True):
    """The span of the answer in the reply, the name it has there, and the names it could have."""

    start: int
    end: int
    name: str = ""
    names: tuple[str, ...] = ()


def token_probability(
    tokens: Sequence[TokenChoice], answer: str, answers: AnswerSpace, question: Question
) -> float | None:
    """The probability in [0, 1] that the tokens of a reply give to its answer; None where it is not in them.

    The answer is looked for after `Answer:`, else at its last mention, by its own name or by
    its option's text. In a closed space each token's probability is taken relative to the alternatives that
    still lead to an allowed answer, until only one is left; where the endpoint gave no alternatives it counts
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
    """The last place where a closed space's answer is announced, or else mentioned."""
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
    """The span of an open space's answer: the last answer line; without one the last number that
    is equal, or the whole text."""
    lines = list(_LINE.finditer(text))
    if lines and kind != "judged":
        return Place(lines[-1].start("said"), lines[-1].end("said"))
    if kind == "numeric":
        numerals = list(_NUMERAL.finditer(text, max(0, len(text) - _NUMERALS_END)))[-_MOST_NUMERALS:]
        equal = next((match for match in reversed(numerals) if canonical(match[0]) == answer), None)
        return Place(equal.start(), equal.end()) if equal else None
    lead = _LEADING.match(text)
    start = lead.end() if lead else 0
    stated = _STATEMENT.search(text, start)
    end = stated.start() if stated else len(text)
    return Place(start, end) if text[start:end].strip() else None


def _covered(pieces: list[str], place: Place) -> list[int]:
    """Indexes of the tokens from where the answer starts; a closed answer's run on to the end, since what
    follows may distinguish it from a longer one."""
    covered: list[int] = []
    at = 0
    for index, piece in enumerate(pieces):
        if at + len(piece) > place.start and (place.names or at < place.end):
            covered.append(index)
        at += len(piece)
    return covered


def _relative(tokens: list[TokenChoice], place: Place) -> float | None:
    """The chosen answer's share of the mass of all answers, token by token until no other is possible."""
    written, share, left = "", 1.0, list(place.names)
    for choice in tokens:
        if len(written) > _LONGEST_NAME:
            break
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
