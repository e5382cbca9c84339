"""One task's rows from their sources: a pool to be split, or predefined splits."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

from ...scenarios.tasks import Task as TaskSettings
from ..errors import InputError
from ..randomness import generator
from .collect import Placed, collect
from .example import Example, Splits
from .label_set import LABELLED
from .overlap import near_overlap, refuse_overlap
from .settings import Settings
from .sources import POOL, sources
from .split import Shuffle, check_sizes, halves, split_pool

Split = tuple[Splits, list[str]]
"""The splits, and what there is to say about them."""


class Pool:
    """Reads and splits the rows of one task; `dropped` counts what was left out, by reason."""

    def __init__(self, settings: Settings, spec: TaskSettings, folder: Path, seed: int) -> None:
        self.dropped: Counter[str] = Counter()
        self._settings = settings
        self._spec = spec
        self._sources = sources(spec, folder, settings.shape)
        self._seed = seed

    def split(self) -> Split:
        """Raises InputError: bad rows, too few of them, or rows that stand in two predefined splits."""
        if POOL not in self._sources:
            return self._predefined()
        rows = [placed.example for placed in self._collect(POOL, self._spec.limit)]
        name, sizes = self._settings.name, self._spec.split
        return split_pool(name, rows, sizes, stratum=self._stratum, shuffle=self._shuffle("split"))

    def _predefined(self) -> Split:
        caps = self._caps()
        if "validation" in self._sources:
            train = self._collect("train", caps["train"])
            validation = self._collect("validation", caps["validation"])
        else:
            train, validation = self._halved(caps)
        test = self._collect("test", caps["test"])
        found = {"train": train, "validation": validation, "test": test}
        examples = {part: tuple(placed.example for placed in rows) for part, rows in found.items()}
        splits = check_sizes(self._settings.name, Splits(**examples))
        self._check_counts(examples)
        places = {placed.example.id: placed.place for rows in found.values() for placed in rows}
        refuse_overlap(self._settings.name, list(examples.items()), places)
        return splits, near_overlap(list(examples.items()), places)

    def _halved(self, caps: Mapping[str, int | None]) -> tuple[Sequence[Placed], Sequence[Placed]]:
        """Train and validation out of one source: its halves, or as many rows as each may have."""
        first, second = caps["train"], caps["validation"]
        limit = None if first is None or second is None else first + second
        rows = self._collect("train", limit)
        share = 0.5 if first is None or second is None else first / (first + second)
        by_id = {placed.example.id: placed for placed in rows}
        one, other = halves(
            [placed.example for placed in rows],
            ceil(len(rows) * share - 1e-9),
            stratum=self._stratum,
            shuffle=self._shuffle("halves"),
        )
        return [by_id[row.id] for row in one], [by_id[row.id] for row in other]

    def _collect(self, part: str, limit: int | None) -> list[Placed]:
        source = self._sources[part]
        kept = collect(
            source.items,
            self._settings.recipe(f"{part}-" if part else ""),
            self.dropped,
            limit=limit,
            shuffle=self._spec.shuffle,
            random=self._random("rows", part),
        )
        if not kept:
            place = f" in {source.name}" if source.name else ""
            reasons = ", ".join(f"{count} dropped: {reason}" for reason, count in self.dropped.items())
            why = f" ({reasons})" if reasons else ""
            raise InputError(f"tasks.{self._settings.name}.{source.key}: no rows{place}{why}")
        return kept

    def _counts(self) -> dict[str, int]:
        """Rows per split where counts stand beside predefined splits, else nothing; InputError for shares."""
        if "split" not in self._spec.model_fields_set:
            return {}
        sizes = dict(self._spec.split)
        if all(size <= 1 for size in sizes.values()):
            raise InputError(
                f"tasks.{self._settings.name}.split: with predefined splits, give counts of rows, not shares"
            )
        return {part: int(size) for part, size in sizes.items()}

    def _caps(self) -> dict[str, int | None]:
        counts, limit = self._counts(), self._spec.limit
        return {
            part: min((cap for cap in (counts.get(part), limit) if cap is not None), default=None)
            for part in ("train", "validation", "test")
        }

    def _check_counts(self, found: Mapping[str, Sequence[Example]]) -> None:
        for part, wanted in self._counts().items():
            least = min(wanted, self._spec.limit or wanted)
            if len(found[part]) < least:
                where = f"tasks.{self._settings.name}.split.{part}"
                raise InputError(f"{where}: {least} rows wanted, but there are {len(found[part])}")

    def _stratum(self, example: Example) -> str:
        return example.gold if self._settings.kind in (*LABELLED, "multiple_choice") else ""

    def _random(self, *purpose: str) -> random.Random:
        return generator(self._seed, "data", self._settings.name, *purpose)

    def _shuffle(self, purpose: str) -> Shuffle:
        return self._random(purpose).shuffle if self._spec.shuffle else lambda _: None
