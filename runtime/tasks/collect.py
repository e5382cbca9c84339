"""From a stream of rows to examples: bad rows reported together, dropped rows counted, the rest sampled."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec

from ...scenarios.tasks import Kind
from ..errors import InputError
from .data import Bad, Item, Values, sample
from .example import Example
from .gold import Labels, read_gold
from .mapping import Mapper
from .raw import Drop, Raw, Unfit

MOST_PROBLEMS = 5
"""So many bad rows are listed in one message; reading stops there."""


class Placed(msgspec.Struct, frozen=True):
    """An example and where its row stands."""

    example: Example
    place: str


class Recipe(msgspec.Struct, frozen=True):
    """How rows become examples. `mapper` is made from the first row; ids are prefixed with `prefix`."""

    name: str
    mapper: Callable[[Values], Mapper]
    kind: Kind
    labels: Labels
    prefix: str = ""


def collect(
    items: Iterable[Item],
    recipe: Recipe,
    dropped: Counter[str],
    *,
    limit: int | None,
    shuffle: bool,
    random: random.Random,
) -> list[Placed]:
    """At most `limit` examples. Rows left out on purpose are counted in `dropped` by reason.

    Raises InputError listing the first few bad rows with file and line, also for an id that stands twice.
    """
    problems = _Problems(recipe.name)
    kept = sample(_examples(items, recipe, dropped, problems), limit, shuffle=shuffle, random=random)
    seen: dict[str, str] = {}
    for placed in kept:
        earlier = seen.setdefault(placed.example.id, placed.place)
        if earlier is not placed.place:
            problems.add(
                placed.place, f"id {placed.example.id!r} stands already at {earlier}; ids must differ"
            )
    problems.report()
    return kept


def _examples(
    items: Iterable[Item], recipe: Recipe, dropped: Counter[str], problems: "_Problems"
) -> Iterator[Placed]:
    mapper: Mapper | None = None
    for number, item in enumerate(items, start=1):
        if isinstance(item, Bad):
            problems.add(item.place, item.problem)
            continue
        mapper = mapper or recipe.mapper(item.values)
        try:
            raw = mapper(item.values)
            if isinstance(raw, Drop):
                dropped[raw.reason] += 1
            else:
                yield Placed(_example(raw, recipe, number), item.place)
        except Unfit as unfit:
            problems.add(item.place, str(unfit))
    problems.report()


def _example(raw: Raw, recipe: Recipe, number: int) -> Example:
    gold, also = read_gold(raw, recipe.kind, recipe.labels)
    id = f"{recipe.prefix}{raw.id or number}"
    return Example(id, raw.question, gold, raw.context, raw.choices, also)


class _Problems:
    """Bad rows of one task, until there are enough to report."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: list[str] = []

    def add(self, place: str, problem: str) -> None:
        self._found.append(f"{place}: {problem}")
        if len(self._found) == MOST_PROBLEMS:
            self._found.append(f"(the first {MOST_PROBLEMS} bad rows; there may be more)")
            self.report()

    def report(self) -> None:
        """Raise InputError if anything was found."""
        if self._found:
            raise InputError("\n".join([f"tasks.{self._name}: bad rows in the data:", *self._found]))
