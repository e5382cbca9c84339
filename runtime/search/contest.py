"""Prompts held against each other on the rows all of them have answered."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from ..evaluation.intervals import with_objective
from ..evaluation.meter import Meter
from ..evaluation.objective import Objective
from ..evaluation.outcomes import Outcomes
from ..evaluation.sampling import gathered, leave_outs
from ..evaluation.significance import holm
from .pool import Pair

Vector = NDArray[np.float64]


class Racer(msgspec.Struct, frozen=True):
    """A prompt in a race: its outcomes by (task, model), whether it is new, and whether it is `able`: it
    meets every required bound so far."""

    id: str
    outcomes: Mapping[Pair, Outcomes]
    fresh: bool = True
    able: bool = True


class Standing(msgspec.Struct, frozen=True):
    """A racer's objective on the common rows, in [0, 1], and the values whose mean it is, by pair."""

    id: str
    value: float
    shares: Mapping[Pair, Vector]
    fresh: bool
    able: bool


def standings(racers: Sequence[Racer], objective: Objective, *, seed: int) -> list[Standing]:
    """The racers on the rows that all of them have answered: the able first, then the best; ties by id.

    The objective of rows is no mean over rows (ECE, AUROC), so it is taken apart into jackknife
    pseudo-values (Quenouille 1956, Tukey 1958): G·J - (G-1)·J(-g) for each of G groups of rows left out,
    whose mean is the objective and whose spread is that of a mean. The groups are the same for every racer.
    A racer with no defined objective is left out.
    """
    if not racers:
        return []
    pairs = set.intersection(*(set(racer.outcomes) for racer in racers))
    common = {pair: set.intersection(*(set(racer.outcomes[pair].ids) for racer in racers)) for pair in pairs}
    found: list[Standing] = []
    for racer in racers:
        shares: dict[Pair, Vector] = {}
        for pair in sorted(pairs):
            part = _shares(racer.outcomes[pair].select(common[pair]), objective, seed)
            if part is not None:
                shares[pair] = part
        if shares:
            value = float(np.mean([part.mean() for part in shares.values()]))
            found.append(Standing(racer.id, value, shares, racer.fresh, racer.able))
    return sorted(found, key=lambda standing: (not standing.able, -standing.value, standing.id))


def beaten(ranked: Sequence[Standing], *, places: int, alpha: float) -> frozenset[str]:
    """The racers that cannot come in among the first `places`: worse than the one in the last of them.

    One-sided paired t-tests over the pseudo-values, Holm-corrected over all that are tested at once, at the
    level `alpha`. `ranked` is as `standings` has it, so that an able one is beaten by able ones alone.
    """
    behind = ranked[places:]
    if places < 1 or not behind:
        return frozenset()
    bar = ranked[places - 1]
    ps = holm([_better(bar, other) for other in behind])
    return frozenset(other.id for other, p in zip(behind, ps, strict=True) if p <= alpha)


def _better(one: Standing, other: Standing) -> float:
    """The p-value of `one` being no better than `other`."""
    pairs = sorted(set(one.shares) & set(other.shares))
    leads = [one.shares[pair] - other.shares[pair] for pair in pairs]
    leads = [lead for lead in leads if len(lead) > 1]
    if not leads:
        return 1.0
    mean = float(np.mean([lead.mean() for lead in leads]))
    error = float(np.sqrt(sum(lead.var(ddof=1) / len(lead) for lead in leads))) / len(leads)
    if error < 1e-12:
        return 0.0 if mean > 0 else 1.0
    freedom = sum(len(lead) - 1 for lead in leads)
    return float(stdtr(freedom, -mean / error))


def _shares(outcomes: Outcomes, objective: Objective, seed: int) -> Vector | None:
    rows = len(outcomes.ids)
    if not rows:
        return None
    meter = Meter(outcomes.table(), classes=len(outcomes.labels), binning=objective.binning)
    whole = with_objective(meter(np.ones((1, rows), dtype=np.int32)), objective, {})["objective"][0]
    if np.isnan(whole):
        return None
    if rows == 1:
        return np.array([whole])
    left_out = with_objective(gathered(meter, leave_outs(rows, seed=seed)), objective, {})["objective"]
    groups = len(left_out)
    shares = groups * whole - (groups - 1) * left_out
    # Where leaving a group out leaves nothing defined, the group tells nothing beyond the whole.
    return np.where(np.isnan(shares), whole, shares)
