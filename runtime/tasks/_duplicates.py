"""Examples that ask the same, equal or nearly equal, and those in two splits."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from math import ceil

import msgspec

from ...scenarios.errors import InputError
from .example import Example

NEAR = 0.9
"""Least Jaccard similarity of two texts' word triples at which they count as nearly equal."""

MOST_WORK = 20_000_000
"""Shingles compared before a search for nearly equal texts is given up: a second or two."""

Part = tuple[str, Sequence[Example]]
"""A split's name and rows."""

_SHOWN = 5
_SHINGLE = 3
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+|[^\w\s]")


def asked(example: Example) -> str:
    """The whole question of a row, normalised: Unicode NFKC, case and white space folded, choices sorted."""
    fields = (value for _, value in example.fields)
    text = " ".join([example.context, example.question, *sorted(example.choices), *fields])
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def groups(keys: Sequence[str]) -> list[tuple[int, ...]]:
    """Indices of equal keys together, in order of first appearance."""
    first: dict[str, int] = {}
    equal: dict[int, list[int]] = {}
    for index, key in enumerate(keys):
        earliest = first.setdefault(key, index)
        if earliest != index:
            equal.setdefault(earliest, [earliest]).append(index)
    return [tuple(equal.get(index, (index,))) for index in first.values()]


class Near(msgspec.Struct, frozen=True):
    """Pairs (earlier, later) of nearly equal keys, found among the first `searched` keys."""

    pairs: tuple[tuple[int, int], ...]
    searched: int


def near_pairs(keys: Sequence[str], threshold: float = NEAR, *, work: int = MOST_WORK) -> Near:
    """Pairs of unequal keys with a Jaccard similarity of shingles of at least `threshold`.

    Exact, by prefix filtering (Chaudhuri, Ganti, Kaushik 2006): with shingles in order of rarity, two such
    sets share one of their first |S| - ceil(t·|S|) + 1, so only texts that share a rare shingle are compared.
    Nothing is missed, as MinHash would. Texts of one template share no rare shingle and would take a
    comparison of all with all: the search ends when it has compared sets of `work` shingles in all.
    """
    sets = [_shingles(key) for key in keys]
    rarity = Counter(shingle for found in sets for shingle in found)
    index: dict[str, list[int]] = {}
    pairs: list[tuple[int, int]] = []
    for later, found in enumerate(sets):
        if work < 0:
            return Near(tuple(pairs), later)
        ordered = sorted(found, key=lambda shingle: (rarity[shingle], shingle))
        prefix = ordered[: len(found) - ceil(threshold * len(found)) + 1]
        candidates = _candidates(prefix, index)
        work -= len(candidates) * len(found)
        whole = frozenset(found)
        near = (i for i in candidates if keys[i] != keys[later] and _alike(sets[i], whole, threshold))
        pairs += [(earlier, later) for earlier in sorted(near)]
        for shingle in prefix:
            index.setdefault(shingle, []).append(later)
    return Near(tuple(pairs), len(keys))


def joined(parts: Iterable[Sequence[int]], size: int) -> list[tuple[int, ...]]:
    """The connected components of 0 … size-1 under "is in one of these parts", by least member."""
    root = list(range(size))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for part in parts:
        for other in part[1:]:
            low, high = sorted((find(part[0]), find(other)))
            root[high] = low
    components: dict[int, list[int]] = {}
    for i in range(size):
        least = find(i)
        if least != i:
            components.setdefault(least, [least]).append(i)
    return [tuple(components.get(i, (i,))) for i in range(size) if root[i] == i]


def _shingles(key: str) -> tuple[str, ...]:
    """The different shingles of a text, in a tuple: the garbage collector leaves tuples of texts alone, while
    it would look at the set of every row of a large file, and hold the interpreter meanwhile."""
    tokens = _TOKEN.findall(key)
    if len(tokens) <= _SHINGLE:
        return (" ".join(tokens),)
    return tuple(dict.fromkeys(" ".join(tokens[i : i + _SHINGLE]) for i in range(len(tokens) - _SHINGLE + 1)))


def _candidates(prefix: Sequence[str], index: dict[str, list[int]]) -> set[int]:
    return {earlier for shingle in prefix for earlier in index.get(shingle, ())}


def _alike(one: Sequence[str], other: frozenset[str], threshold: float) -> bool:
    if min(len(one), len(other)) < threshold * max(len(one), len(other)):
        return False
    common = len(other.intersection(one))
    return common >= threshold * (len(one) + len(other) - common)


def refuse_overlap(name: str, splits: Sequence[Part], places: dict[str, str]) -> None:
    """Raise InputError, listing rows, where two splits ask the same. `places` are those of row ids."""
    problems: list[str] = []
    for (_, one), (_, other) in combinations(splits, 2):
        known = {asked(row): row for row in one}
        for row in other:
            twin = known.get(asked(row))
            if twin is not None:
                problems.append(f"{places[row.id]} asks the same as {places[twin.id]}")
    if problems:
        more = f"\n… and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise InputError(
            f"tasks.{name}.files: {len(problems)} rows are in two splits; take them out of one, or "
            "give the files as `data`, where duplicates stay together:\n"
            + "\n".join(problems[:_SHOWN])
            + more
        )


def near_overlap(splits: Sequence[Part], places: dict[str, str]) -> list[str]:
    """Warnings where rows of two splits ask nearly the same, with an example."""
    rows = [(part, row) for part, members in splits for row in members]
    near = near_pairs([asked(row) for _, row in rows])
    pairs = [(one, other) for one, other in near.pairs if rows[one][0] != rows[other][0]]
    said: list[str] = []
    if near.searched < len(rows):
        said.append(f"nearly equal rows were looked for among {near.searched} of {len(rows)} rows only")
    if pairs:
        one, other = (places[rows[i][1].id] for i in pairs[0])
        said.append(f"pairs of nearly equal rows in different splits: {len(pairs)}, e.g. {one} and {other}")
    return said
