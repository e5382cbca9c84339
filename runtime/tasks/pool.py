"""One task's rows from their sources: a pool to be split, or predefined splits."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

from ...scenarios.tasks import SplitFiles
from ...scenarios.tasks import Task as TaskSettings
from ..errors import InputError
from ..randomness import generator
from .collect import Placed, collect
from .data import read
from .example import Example, Splits
from .label_set import LABELLED
from .overlap import near_overlap, refuse_overlap
from .settings import Settings
from .split import Shuffle, check_sizes, halves, split_pool

Split = tuple[Splits, list[str]]
"""The splits, and what there is to say about them."""


class Pool:
    """Reads and splits the rows of one task; `dropped` counts what was left out, by reason."""

    def __init__(self, settings: Settings, spec: TaskSettings, folder: Path, seed: int) -> None:
        self.dropped: Counter[str] = Counter()
        self._settings = settings
        self._spec = spec
        self._folder = folder
        self._seed = seed

    def split(self) -> Split:
        """Raises InputError: bad rows, too few of them, or rows that stand in two predefined splits."""
        if self._spec.data is not None:
            rows = [placed.example for placed in self._collect(self._spec.data, "", self._spec.limit)]
            name, sizes = self._settings.name, self._spec.split
            return split_pool(name, rows, sizes, stratum=self._stratum, shuffle=self._shuffle("split"))
        assert self._spec.files is not None, "the schema asks for data or files"
        return self._predefined(self._spec.files)

    def _predefined(self, files: SplitFiles) -> Split:
        caps = self._caps()
        if files.validation is None:
            train, validation = self._halved(files.train, caps)
        else:
            train = self._collect(files.train, "train", caps["train"])
            validation = self._collect(files.validation, "validation", caps["validation"])
        test = self._collect(files.test, "test", caps["test"])
        found = {"train": train, "validation": validation, "test": test}
        examples = {part: tuple(placed.example for placed in rows) for part, rows in found.items()}
        splits = check_sizes(self._settings.name, Splits(**examples))
        self._check_counts(examples)
        places = {placed.example.id: placed.place for rows in found.values() for placed in rows}
        refuse_overlap(self._settings.name, list(examples.items()), places)
        return splits, near_overlap(list(examples.items()), places)

    def _halved(
        self, train: str, caps: Mapping[str, int | None]
    ) -> tuple[Sequence[Placed], Sequence[Placed]]:
        """Train and validation out of one file: its halves, or as many rows as each may have."""
        first, second = caps["train"], caps["validation"]
        limit = None if first is None or second is None else first + second
        rows = self._collect(train, "train", limit)
        share = 0.5 if first is None or second is None else first / (first + second)
        by_id = {placed.example.id: placed for placed in rows}
        one, other = halves(
            [placed.example for placed in rows],
            ceil(len(rows) * share - 1e-9),
            stratum=self._stratum,
            shuffle=self._shuffle("halves"),
        )
        return [by_id[row.id] for row in one], [by_id[row.id] for row in other]

    def _collect(self, data: str | Sequence[str], part: str, limit: int | None) -> list[Placed]:
        kept = collect(
            read(data, self._folder, self._settings.shape),
            self._settings.recipe(f"{part}-" if part else ""),
            self.dropped,
            limit=limit,
            shuffle=self._spec.shuffle,
            random=self._random("rows", part),
        )
        if not kept:
            key = f"files.{part}" if part else "data"
            reasons = ", ".join(f"{count} dropped: {reason}" for reason, count in self.dropped.items())
            why = f" ({reasons})" if reasons else ""
            raise InputError(f"tasks.{self._settings.name}.{key}: no rows in {data}{why}")
        return kept

    def _counts(self) -> dict[str, int]:
        """Rows per split where counts stand beside `files`, else nothing; InputError for shares."""
        if "split" not in self._spec.model_fields_set:
            return {}
        sizes = dict(self._spec.split)
        if all(size <= 1 for size in sizes.values()):
            raise InputError(
                f"tasks.{self._settings.name}.split: with `files`, give counts of rows, not shares"
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
                raise InputError(f"{where}: {least} rows wanted, but its file gives {len(found[part])}")

    def _stratum(self, example: Example) -> str:
        return example.gold if self._settings.kind in (*LABELLED, "multiple_choice") else ""

    def _random(self, *purpose: str) -> random.Random:
        return generator(self._seed, "data", self._settings.name, *purpose)

    def _shuffle(self, purpose: str) -> Shuffle:
        return self._random(purpose).shuffle if self._spec.shuffle else lambda _: None
