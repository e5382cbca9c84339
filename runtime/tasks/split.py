"""A task's rows, split into train, validation and test."""

from collections.abc import Callable, Sequence
from math import floor

from ...scenarios.errors import InputError
from ...scenarios.tasks import SplitSettings
from ._duplicates import asked, groups, joined, near_pairs
from .example import Example, Splits

NAMES = ("train", "validation", "test")
_TEMPLATED = 0.05
"""A cluster of nearly equal rows beyond this share of all comes from a template, and may be cut."""

Stratum = Callable[[Example], str]
Shuffle = Callable[[list[int]], None]
"""Shuffles row numbers in place, from the scenario's seed; or leaves them in the order of the file."""


def split_pool(
    name: str, rows: Sequence[Example], split: SplitSettings, *, stratum: Stratum, shuffle: Shuffle
) -> tuple[Splits, list[str]]:
    """Split one pool; returns the splits and warnings.

    Seeded and stratified: each split holds every stratum's share of rows to within two, as far as
    duplicates allow. Rows that ask the same, or nearly the same, stay together in one split. Counts are
    met exactly. Raises InputError naming the task where rows do not suffice or a split would be empty.
    """
    sizes = _sizes(name, split, len(rows))
    units, said = _units(rows)
    homes = _place(units, rows, sizes, stratum, shuffle)
    least = [1, 1, 1] if _shares(split) else sizes
    if any(len(home) < size for home, size in zip(homes, least, strict=True)):
        have = ", ".join(
            f"{len(home)} of {size} {part}" for part, home, size in zip(NAMES, homes, sizes, strict=True)
        )
        raise InputError(
            f"tasks.{name}.split: duplicates stay in one split, which leaves {have} rows; ask for fewer rows"
        )
    train, validation, test = (tuple(rows[i] for i in home) for home in homes)
    return Splits(train, validation, test), said


def check_sizes(name: str, splits: Splits) -> Splits:
    """The splits; InputError where one is empty."""
    sizes = {part: len(rows) for part, rows in parts(splits)}
    if not all(sizes.values()):
        counts = ", ".join(f"{size} {part}" for part, size in sizes.items())
        raise InputError(f"tasks.{name}: {counts} rows; every split needs at least one")
    return splits


def parts(splits: Splits) -> tuple[tuple[str, tuple[Example, ...]], ...]:
    """The splits by name, in order."""
    return (("train", splits.train), ("validation", splits.validation), ("test", splits.test))


def halves(
    rows: Sequence[Example], first: int, *, stratum: Stratum, shuffle: Shuffle
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Two stratified parts of one file, the first of about `first` rows; equal rows stay together."""
    units, _ = _units(rows)
    homes = _place(units, rows, [first, len(rows) - first], stratum, shuffle)
    return tuple(rows[i] for i in homes[0]), tuple(rows[i] for i in homes[1])


def _shares(split: SplitSettings) -> bool:
    return all(size <= 1 for size in (split.train, split.validation, split.test))


def _sizes(name: str, split: SplitSettings, count: int) -> list[int]:
    wanted = [split.train, split.validation, split.test]
    if _shares(split):
        sizes = _rounded([share * count for share in wanted])
    else:
        sizes = [int(size) for size in wanted]
        if sum(sizes) > count:
            asked_for = " + ".join(map(str, sizes))
            raise InputError(
                f"tasks.{name}.split: {asked_for} = {sum(sizes)} rows wanted, but the data holds {count}"
            )
    if not all(sizes):
        counts = ", ".join(f"{size} {part}" for part, size in zip(NAMES, sizes, strict=True))
        raise InputError(f"tasks.{name}.split: {counts} of {count} rows; every split needs at least one")
    return sizes


def _rounded(exact: Sequence[float]) -> list[int]:
    """Whole numbers next to these that keep their sum (largest remainders)."""
    whole = [floor(x + 1e-9) for x in exact]
    missing = floor(sum(exact) + 1e-9) - sum(whole)
    for i in sorted(range(len(exact)), key=lambda i: whole[i] - exact[i])[:missing]:
        whole[i] += 1
    return whole


def _units(rows: Sequence[Example]) -> tuple[list[tuple[int, ...]], list[str]]:
    """Groups of rows that belong in one split, and warnings about them."""
    keys = [asked(row) for row in rows]
    equal = groups(keys)
    said: list[str] = []
    repeated = sum(len(group) - 1 for group in equal)
    if repeated:
        said.append(f"rows that repeat another: {repeated}; each is kept in the split of the row it repeats")
    unlike = sum(len({rows[i].gold for i in group}) > 1 and not rows[group[0]].choices for group in equal)
    if unlike:
        said.append(f"questions of several rows with different answers: {unlike}")
    near = near_pairs(keys)
    pairs = near.pairs
    if near.searched < len(rows):
        said.append(f"nearly equal rows were looked for among {near.searched} of {len(rows)} rows only")
    clusters = joined([*equal, *pairs], len(rows))
    cap = max(8, floor(_TEMPLATED * len(rows)))
    if any(len(cluster) > cap for cluster in clusters):
        said.append(
            f"pairs of nearly equal rows: {len(pairs)} (one template, it seems); "
            "they may be in different splits"
        )
        return equal, said
    if pairs:
        said.append(f"pairs of nearly equal rows: {len(pairs)}; each is kept in one split")
    return clusters, said


def _place(
    units: Sequence[Sequence[int]],
    rows: Sequence[Example],
    sizes: Sequence[int],
    stratum: Stratum,
    shuffle: Shuffle,
) -> list[list[int]]:
    """Rows by split: groups first, each where most room is left, then single rows, evenly by stratum."""
    homes: list[list[int]] = [[] for _ in sizes]
    together = [number for number, unit in enumerate(units) if len(unit) > 1]
    shuffle(together)
    for unit in sorted((units[number] for number in together), key=len, reverse=True):
        room = [size - len(home) for size, home in zip(sizes, homes, strict=True)]
        fitting = [i for i in range(len(sizes)) if room[i] >= len(unit)]
        if fitting:
            homes[max(fitting, key=lambda i: room[i] / sizes[i])] += unit
        elif sum(sizes) == len(rows):
            homes[max(range(len(sizes)), key=lambda i: room[i])] += unit
    singles = iter(_spread([unit[0] for unit in units if len(unit) == 1], rows, stratum, shuffle))
    for home, size in zip(homes, sizes, strict=True):
        home += [i for _, i in zip(range(size - len(home)), singles, strict=False)]
        shuffle(home)
    return homes


def _spread(indices: Sequence[int], rows: Sequence[Example], stratum: Stratum, shuffle: Shuffle) -> list[int]:
    """The indices in a seeded order in which every stratum is spread evenly.

    Tijdeman's algorithm for the chairman assignment problem (1980): among the strata that are due, the one
    with the earliest deadline is next. The first k indices then hold each stratum's share of k to within
    one row, and so every stretch to within two.
    """
    strata: dict[str, list[int]] = {}
    for i in indices:
        strata.setdefault(stratum(rows[i]), []).append(i)
    members = [strata[key] for key in sorted(strata)]
    for one in members:
        shuffle(one)
    slack = 2 * max(1, len(members) - 1)
    given = [0] * len(members)
    spread: list[int] = []
    for place in range(1, len(indices) + 1):
        due = [
            (((taken + 1) * slack - 1) / len(one), number)
            for number, (one, taken) in enumerate(zip(members, given, strict=True))
            if taken < len(one) and slack * (len(one) * place - taken * len(indices)) >= len(indices)
        ]
        number = min(due)[1]
        spread.append(members[number][given[number]])
        given[number] += 1
    return spread
