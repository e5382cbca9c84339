"""Race: blocks of rows, rungs, comparisons on shared rows, and instance wins."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from ..evaluation._measures import Meter
from ..evaluation._resampling import gathered, holm, leave_outs
from ..evaluation.objective import Objective
from ..evaluation.outcomes import Outcomes
from ..evaluation.statistics import with_objective
from ..randomness import generator
from ..tasks.example import Example
from .candidates import Pair

Block = Mapping[str, tuple[Example, ...]]
"""Some rows of every task, by task."""


def blocks(rows: Mapping[str, Sequence[Example]], *, size: int, seed: int) -> tuple[Block, ...]:
    """The rows of every task in as many blocks as make each at most about `size` rows of a task.

    Every block holds its share of every task and, within a task, of every gold answer, so that a candidate's
    score on the first blocks is like its score on all. Fixed by `seed` and the rows, whatever their order.
    """
    sizes = block_sizes(rows, size)
    left = {task: list(_spread(rows[task], seed, task)) for task in sorted(rows)}
    found: list[Block] = []
    for cut in sizes:
        found.append({task: tuple(left[task][: cut[task]]) for task in left})
        left = {task: part[cut[task] :] for task, part in left.items()}
    return tuple(found)


def block_sizes(rows: Mapping[str, Sequence[Example]], size: int) -> list[dict[str, int]]:
    """Rows of each task in each block."""
    count = max(-(-len(part) // size) for part in rows.values())
    return [
        {task: (i + 1) * len(part) // count - i * len(part) // count for task, part in rows.items()}
        for i in range(count)
    ]


def _spread(rows: Sequence[Example], seed: int, task: str) -> tuple[Example, ...]:
    """The rows in an order in which every stretch has about the same mixture of gold answers."""
    draw = generator(seed, "blocks", task)
    by_gold: dict[str, list[Example]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.id):
        by_gold[row.gold].append(row)
    placed: list[tuple[float, float, Example]] = []
    for gold in sorted(by_gold):
        group = by_gold[gold]
        draw.shuffle(group)
        placed += [((i + 0.5) / len(group), draw.random(), row) for i, row in enumerate(group)]
    return tuple(row for _, _, row in sorted(placed, key=lambda place: place[:2]))


Method = Literal["none", "paired", "halving", "both"]
"""How candidates that cannot win are found: by a paired test, by successive halving, by both, or not."""


class Rung(msgspec.Struct, frozen=True):
    """Every racer answers the first `blocks` blocks; then at most `most` new ones go on (None: any)."""

    blocks: int
    most: int | None = None


def ladder(method: Method, *, blocks: int, fresh: int) -> tuple[Rung, ...]:
    """The rungs of a race of `fresh` new candidates over `blocks` blocks; the last one covers them all.

    A paired test is taken after every block. Successive halving (Jamieson and Talwalkar 2016; TRIPLE, arXiv
    2402.09723) doubles the blocks as it halves the candidates, so that every rung costs about the same.
    """
    if method == "none":
        return (Rung(blocks),)
    if method == "paired":
        return tuple(Rung(b) for b in range(1, blocks + 1))
    halvings = min(max(fresh - 1, 0).bit_length(), blocks - 1)
    rungs: list[Rung] = []
    for i in range(halvings):
        reached = max(i + 1, round(blocks / 2 ** (halvings - i)))
        rungs.append(Rung(min(reached, blocks - halvings + i), -(-fresh // 2 ** (i + 1))))
    return (*rungs, Rung(blocks))


def racing(rungs: Iterable[Rung], fresh: int) -> Iterator[tuple[int, int, int]]:
    """From block, to block, and how many new candidates answer these blocks at most, rung by rung."""
    done = 0
    for rung in rungs:
        yield done, rung.blocks, fresh
        done = rung.blocks
        fresh = fresh if rung.most is None else min(fresh, rung.most)


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
