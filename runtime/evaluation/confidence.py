"""How sure a reply is by its words: what it states, how far its draws agree, what its guesses get."""

import re
from collections import Counter
from collections.abc import Sequence

from ..tasks.answers.clean import plain

_STATED = re.compile(
    r"(?:\b(?:confidence|certainty|probability)\b(?:\s+(?:level|score))?(?:\s+in\s+\w+\s+answer)?|置信度|信心)"
    r"[\s\"']*(?:is|of|at|[:=])?[\s\"'<(\[]*(?:about\s+|around\s+|approximately\s+|~\s*)?(?P<after>-?[\d.,]+)"
    r"[>)\]]?(?P<unit>\s*(?:%|percent\b|per\s+cent\b|/\s*\d+|out\s+of\s+\d+)?)"
    r"|(?P<before>-?[\d.]+)(?P<percent>\s*(?:%|percent\b|per\s+cent\b))[ \t]+(?:confiden|sure|certain)",
    re.IGNORECASE,
)
_SCALE = re.compile(r"(?:/|out\s+of)\s*(\d+)")


def verbalised(text: str) -> float | None:
    """The confidence in [0, 1] that a reply states in numbers, the last where it states several.

    `90%`, `90 percent`, `90`, `0.9` and `9/10` are all 0.9; a bare number up to 1 is a share, one above 1 a
    percentage. None for words ("very high"), for numbers out of range, and where none is stated.
    """
    found = list(_STATED.finditer(plain(text)))
    if not found:
        return None
    last = found[-1]
    return _share(last["after"] or last["before"], last["unit"] or last["percent"] or "")


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


def _share(number: str, unit: str) -> float | None:
    try:
        value = float(number.rstrip(".,"))
    except ValueError:
        return None
    if scale := _SCALE.search(unit):
        most = int(scale[1])
        value = value / most if most else -1.0
    elif unit.strip() or value > 1:
        value /= 100
    return value if 0 <= value <= 1 else None
