"""A scorecard: every number about one prompt on one task with one model."""

from typing import Annotated

import msgspec

from .ratings import Reliability

Interval = Annotated[tuple[float, float], "low and high ends of a 95 % interval"]


class Scorecard(msgspec.Struct, frozen=True, kw_only=True):
    """The multi-dimensional score of a prompt over the rows of one split.

    `n` counts graded rows, `failed` those the world failed (left out of every metric). Metrics are in [0, 1];
    one that is undefined on these rows is None. `ece` is an error (lower is better); all others are better
    higher, but `brier`, `aurc`, `output_tokens` and `seconds`. `judged` holds mean ratings from 1 to 5 by
    quality, None where too few were usable, and the values in [0, 1] of metrics of one's own by dotted name;
    `reliability` says how far the judge agrees with itself. `objective` is the weighted mean in [0, 1];
    `explained` says how each metric entered it. `unmet` says in words which required bounds these rows miss.
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
