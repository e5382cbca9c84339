"""The numbers reported about a prompt: scorecard, gain over another prompt, chance, calibration.

Messages and results hold these structs, so importing them must not import numpy.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import msgspec

from ..tasks.answers.space import AnswerSpace
from ..tasks.example import Example
from .metrics import Better
from .ratings import Reliability

Interval = Annotated[tuple[float, float], "low and high ends of a 95 % interval"]


UNANSWERED = "undefined: no reply holds an answer"
"""Explanation of metrics of confidence where no reply could be read."""


class Scorecard(msgspec.Struct, frozen=True, kw_only=True):
    """The multi-dimensional score of a prompt over the rows of one split.

    `n` counts graded rows, `failed` those the world failed (left out of every metric). Metrics are in [0, 1];
    one that is undefined on these rows is None. `ece` is an error (lower is better); all others are better
    higher, but `brier`, `aurc`, `output_tokens` and `seconds`. `judged` holds mean ratings from 1 to 5 by
    quality, None where too few were usable, and the values in [0, 1] of metrics of one's own by dotted name;
    `reliability` is the judge's agreement with itself. `objective` is the weighted mean in [0, 1];
    `explained` gives the way each metric entered it, `unmet` the required bounds these rows miss, as text.
    `intervals` are 95 % bootstrap intervals by metric.
    """

    n: int
    failed: int = 0
    accuracy: float | None = None
    ifr: float | None = None
    ece: float | None = None
    auroc: float | None = None
    auprc_p: float | None = None
    auprc_n: float | None = None
    balanced_accuracy: float | None = None
    macro_f1: float | None = None
    brier: float | None = None
    aurc: float | None = None
    auprc_p_lift: float | None = None
    auprc_n_lift: float | None = None
    output_tokens: float | None = None
    seconds: float | None = None
    judged: dict[str, float | None] = {}
    reliability: Reliability | None = None
    objective: float | None = None
    explained: dict[str, str] = {}
    unmet: dict[str, str] = {}
    intervals: dict[str, Interval] = {}

    @property
    def failed_share(self) -> float:
        """Failed calls over all calls, in [0, 1]; 0 when there were none."""
        total = self.n + self.failed
        return self.failed / total if total else 0.0


class Gain(msgspec.Struct, frozen=True):
    """Best minus baseline in the metric's own unit, its 95 % interval, and the p-value of no difference.

    `better` is the direction of an improvement: where it is `lower`, a negative difference is one. `low` and
    `high`, or `p`, are None where resampling leaves the metric undefined too often. `p_adjusted` is p
    corrected for all the comparisons it was made among (`corrected`), None before that.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None
    better: Better = "higher"
    p_adjusted: float | None = None


class Bin(msgspec.Struct, frozen=True):
    """One bar of a reliability diagram: rows with confidence in [low, high), their means in [0, 1]."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


class Calibration(msgspec.Struct, frozen=True):
    """ECE on test as it came, and after scaling by a temperature fitted on `fitted_on` validation rows.

    `scaled_ece` is shown beside `ece`, never in its place: scorecards and the objective hold raw values.
    """

    temperature: float
    fitted_on: int
    ece: float
    scaled_ece: float


class Chance(msgspec.Struct, frozen=True):
    """Accuracy in [0, 1] of two baselines that ignore the question; None where the answer space is open.

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
