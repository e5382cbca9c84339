"""Reading an answer from the probabilities of one token."""

import math
import re
from collections.abc import Iterable, Sequence
from itertools import combinations

import msgspec

from ..llm.protocol import TokenChoice, TokenLogprob
from ..tasks.answers.clean import folded

_MARKERS = re.compile(r"^(?:[\s\u0120\u2581\u010a(\[\"'`*]|<0x0A>)+")
"""What tokenisers and models put before a word: spaces (also as Ġ or ▁), newlines, quotes, brackets."""

_SHARED = 3
"""Labels whose first so many letters are equal are likely to begin with the same token."""


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
    there are no alternatives the chosen token stands alone.
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


def started(written: str, answers: Iterable[str]) -> list[str]:
    """The answers that a text begins: it is their beginning, or they are its beginning and end in it.

    ` pos` starts `positive`; `B.` starts `B`, and so does `B\\n`, but `Because` does not. A line break ends
    an answer. `spam offer` starts the label of this name, and not also a label `spam`.
    """
    line, ended, _ = unmarked(written).partition("\n")
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
    """Pairs of labels that one token may not tell apart: they begin with the same word or three letters,
    or one begins the other. Empty when all is well."""
    return [(one, other) for one, other in combinations(labels, 2) if _clash(folded(one), folded(other))]


def _within(name: str, text: str) -> bool:
    """Whether the text is the name, or the name and then something that is no part of the word."""
    rest = text.removeprefix(name)
    return text == name or (rest != text and not rest[0].isalnum())


def _clash(one: str, other: str) -> bool:
    shorter = min(len(one), len(other), _SHARED)
    return one[:shorter] == other[:shorter] or one.split(" ")[0] == other.split(" ")[0]
