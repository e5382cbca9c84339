"""What answering without reading the question would achieve."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from ..tasks.answers.space import AnswerSpace
from ..tasks.example import Example


class Chance(msgspec.Struct, frozen=True):
    """Accuracy in [0, 1] of two answerers that know no question; None where the answer space is open.

    `majority` gives the most frequent gold answer of these very rows to every row, and so is the best any
    constant answer can do; `random` is the expected accuracy of a fair draw among each row's allowed answers.
    """

    majority: float | None
    random: float | None


def chance(answers: AnswerSpace, rows: Sequence[Example]) -> Chance:
    """The baselines of some rows of one task; both are None without rows."""
    allowed = [len(answers.allowed(row.asked())) for row in rows]
    if not rows or not all(allowed):
        return Chance(None, None)
    most = max(Counter(row.gold for row in rows).values())
    return Chance(most / len(rows), sum(1 / options for options in allowed) / len(rows))
