"""From a task's settings to its rows, split and checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ...scenarios.tasks import Task as TaskSettings
from .example import Example, Splits
from .label_set import Counts, check_labels, label_counts, space_for
from .pool import Pool
from .settings import settle
from .split import parts
from .task import Task


class LoadedTask(msgspec.Struct, frozen=True):
    """A task with its rows.

    `dropped` counts rows left out by reason, `counts` rows by gold answer for each split (closed kinds only),
    `warnings` are sentences to show. Ids are unique within the task.
    """

    task: Task
    splits: Splits
    dropped: Mapping[str, int] = {}
    warnings: tuple[str, ...] = ()
    counts: Counts = {}

    def majority(self, split: str = "test") -> tuple[str, float] | None:
        """The commonest gold answer of a split and its share in (0, 1]; None for open kinds."""
        counts = self.counts.get(split)
        if not counts:
            return None
        label = min(counts, key=lambda one: (-counts[one], one))
        return label, counts[label] / sum(counts.values())


def load_task(name: str, spec: TaskSettings, *, folder: Path, seed: int, seed_prompt: str) -> LoadedTask:
    """Read, map, sample and split a task's data; deterministic in `seed` and `name`.

    With `data`, `limit` rows are drawn from the pool and split as `split` says. With `files`, `limit` is
    per split, and `split` matters only where it is given as counts: each split is then cut to its count.
    Relative paths start at `folder`; `seed_prompt` is the original prompt where neither task nor preset has
    one. Raises InputError naming file and line, or the key of the scenario.
    """
    settings = settle(name, spec, seed_prompt)
    pool = Pool(settings, spec, folder, seed)
    splits, said = pool.split()
    rows = [row for _, part in parts(splits) for row in part]
    space = space_for(settings, rows)
    counts = label_counts(settings.kind, splits)
    check_labels(settings, space, splits, counts, spec.few_labels)
    task = Task(name, settings.description, space, settings.prompt)
    return LoadedTask(task, splits, dict(sorted(pool.dropped.items())), (*said, *_remarks(rows)), counts)


def _remarks(rows: Sequence[Example]) -> list[str]:
    twice = sum(len(set(row.choices)) < len(row.choices) for row in rows)
    return [f"rows that offer the same choice twice: {twice}"] if twice else []
