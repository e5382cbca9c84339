"""The rows of a race: their order, and what one graded row says about a prompt."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ..evaluation.objective import JUDGED, Objective
from ..evaluation.outcomes import Graded
from ..evaluation.ratings import Rated, share_of
from ..randomness import generator
from ..tasks.example import Example

MOST_ROWS = 512
"""Rows of each task that one search compares prompts on; more would not distinguish the best any better."""

_BY_CREDIT = frozenset({"accuracy", "balanced_accuracy", "macro_f1"})
_BY_CONFIDENCE = frozenset({"ece", "brier", "aurc", "auroc", "auprc_p", "auprc_n"})

Place = Mapping[str, Example]
"""One row of every task that has one there, by task."""


def arrange(rows: Mapping[str, Sequence[Example]], *, seed: int, most: int = MOST_ROWS) -> tuple[Place, ...]:
    """The rows of every task side by side, at most `most` places; a task with fewer rows is spread evenly.

    Every stretch of places holds about the same mixture of gold answers. Fixed by `seed` and the rows,
    regardless of their order.
    """
    ordered = {task: stratified(part, seed, task)[:most] for task, part in sorted(rows.items())}
    count = max(map(len, ordered.values()))
    places: list[dict[str, Example]] = [{} for _ in range(count)]
    for task, part in ordered.items():
        for i, row in enumerate(part):
            places[i * count // len(part)][task] = row
    return tuple(places)


def stratified(rows: Sequence[Example], seed: int, task: str) -> tuple[Example, ...]:
    """The rows in an order in which every stretch has about the same mixture of gold answers."""
    draw = generator(seed, "rows", task)
    by_gold: dict[str, list[Example]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.id):
        by_gold[row.gold].append(row)
    placed: list[tuple[float, float, Example]] = []
    for gold in sorted(by_gold):
        group = by_gold[gold]
        draw.shuffle(group)
        placed += [((i + 0.5) / len(group), draw.random(), row) for i, row in enumerate(group)]
    return tuple(row for _, _, row in sorted(placed, key=lambda place: place[:2]))


def row_score(response: Graded, objective: Objective, rated: Rated | None) -> float:
    """Contribution of one graded row to the objective, in [0, 1]: the weighted mean of the parts it has.

    Accuracy counts as credit and IFR as the strict format kept. Calibration and ranking are properties of
    many rows; on one row the Brier score, which is proper and falls with both, stands for all of them, and a
    reply without an answer counts as wrong with confidence 1. Judged qualities count where this response was
    rated, metrics of one's own where they are defined for a single response.
    """
    total = weights = 0.0
    for name, weight in objective.weights.items():
        part = _part(name, response, rated) if weight > 0 else None
        if part is not None:
            total += weight * part
            weights += weight
    return total / weights if weights else response.credit


def _part(name: str, response: Graded, rated: Rated | None) -> float | None:
    if name in _BY_CREDIT:
        return response.credit
    if name == "ifr":
        return float(response.followed)
    if name in _BY_CONFIDENCE:
        if response.confidence is None:
            return None
        confidence = 1.0 if response.answer is None else response.confidence
        return 1 - (response.correct - confidence) ** 2
    if name.startswith(JUDGED):
        rating = None if rated is None else rated.rating(name.removeprefix(JUDGED))
        return None if rating is None else share_of(rating)
    return response.own.get(name)
