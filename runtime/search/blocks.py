"""The order in which rows are asked: blocks that every candidate of a search shares."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ..randomness import generator
from ..tasks.example import Example

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
