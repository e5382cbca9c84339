"""Which prompts are best at something, though another may be best on average."""

from collections.abc import Mapping

import numpy as np

from ..evaluation.outcomes import Outcomes
from .pool import Pair


def leads(outcomes: Mapping[str, Mapping[Pair, Outcomes]]) -> dict[str, float]:
    """By prompt id: its share in [0, 1] of the rows on which no other prompt has more credit.

    A row's best share it evenly; the shares of all prompts add up to 1. Rows count that every prompt has
    answered; without any, there are no shares. (The instance-wise front of GEPA, arXiv 2507.19457.)
    """
    ids = sorted(outcomes)
    pairs = set.intersection(*(set(outcomes[id]) for id in ids)) if ids else set[Pair]()
    shares = np.zeros(len(ids))
    rows = 0
    for pair in sorted(pairs):
        common = set.intersection(*(set(outcomes[id][pair].ids) for id in ids))
        if common:
            credit = np.stack([outcomes[id][pair].select(common).table()["credit"] for id in ids])
            best = credit == credit.max(axis=0)
            shares += (best / best.sum(axis=0)).sum(axis=1)
            rows += len(common)
    return dict(zip(ids, (shares / rows).tolist(), strict=True)) if rows else {}
