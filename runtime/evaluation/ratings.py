"""Ratings from 1 to 5 as a judge gives them: read from its replies, put together, never made up."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import msgspec

from ..tasks.answers.objects import json_objects
from ..tasks.answers.reasoning import without_reasoning

LEAST, MOST = 1.0, 5.0
RATED = 0.8
"""Least share of items that must have a usable rating for their mean to be shown."""

_NUMBER = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*(?:/\s*5)?\s*")


class Read(msgspec.Struct, frozen=True):
    """The usable ratings of one reply by name, and what was unusable, counted by reason."""

    ratings: dict[str, float]
    unusable: dict[str, int] = {}


class Rated(msgspec.Struct, frozen=True):
    """One item rated twice, the second time with everything that has an order in the opposite one.

    Ratings from 1 to 5 by name; a name is missing where the reply was unusable. `unusable` counts by reason.
    """

    item: str
    first: dict[str, float]
    second: dict[str, float]
    unusable: dict[str, int] = {}

    def rating(self, name: str) -> float | None:
        """The mean of the usable ratings of one name; None when there is none."""
        usable = [ratings[name] for ratings in (self.first, self.second) if name in ratings]
        return sum(usable) / len(usable) if usable else None

    def gap(self, name: str) -> float | None:
        """The distance between the two ratings; None where there are not two."""
        if name not in self.first or name not in self.second:
            return None
        return abs(self.first[name] - self.second[name])


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """Agreement of a judge's two ratings of the same items.

    `items` were each rated twice; `disagreement` is the mean absolute difference between the two ratings, in
    points from 0 to 4, by name (None where no item has two). `unusable` counts ratings left out, by reason.
    """

    items: int
    disagreement: dict[str, float | None]
    unusable: dict[str, int] = {}


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """Two prompts' responses to the same rows, compared in both orders.

    A row is won or lost where both orders agree, `swayed` where they contradict each other, `tied`
    otherwise, also where both responses are the same; rows with an unusable reply are left out and counted.
    `share` is (wins + half of all undecided) over the rows that count, in [0, 1]; None without any.
    """

    wins: int
    losses: int
    tied: int
    swayed: int
    unusable: int
    share: float | None


def read_ratings(text: str, names: Sequence[str]) -> Read:
    """The ratings that a judge's reply gives to these names.

    Reads the last JSON object that names any of them, with any text around it, also one level down
    (`{"scores": {…}}`, `{"relevance": {"score": 4}}`). Numbers may be text (`"4"`, `"4/5"`). What is missing,
    no number, or outside 1 to 5 is counted, and has no rating.
    """
    found = _spoken_of(without_reasoning(text), names)
    if found is None:
        return Read({}, {"no JSON object with ratings": len(names)})
    ratings: dict[str, float] = {}
    unusable: Counter[str] = Counter()
    for name in names:
        value = _number(found.get(_key(name)))
        if _key(name) not in found:
            unusable["missing"] += 1
        elif value is None:
            unusable["no number"] += 1
        elif not LEAST <= value <= MOST:
            unusable["not from 1 to 5"] += 1
        else:
            ratings[name] = float(value)
    return Read(ratings, dict(unusable))


def means(rated: Sequence[Rated], names: Iterable[str]) -> dict[str, float | None]:
    """The mean rating by name; None where fewer than `RATED` of the items have one."""
    found: dict[str, float | None] = {}
    for name in names:
        values = [value for one in rated if (value := one.rating(name)) is not None]
        enough = bool(values) and len(values) >= RATED * len(rated)
        found[name] = sum(values) / len(values) if enough else None
    return found


def reliability(rated: Sequence[Rated], names: Iterable[str]) -> Reliability:
    """The judge's agreement with itself on these items, and what of it was unusable."""
    gaps = {name: [gap for one in rated if (gap := one.gap(name)) is not None] for name in names}
    unusable = sum((Counter(one.unusable) for one in rated), Counter[str]())
    return Reliability(
        items=len(rated),
        disagreement={name: sum(found) / len(found) if found else None for name, found in gaps.items()},
        unusable=dict(sorted(unusable.items())),
    )


def preference(rated: Sequence[Rated], one: str, other: str, *, same: int = 0) -> Preference:
    """Counts of `one` rated above `other`, over items that rate both twice, and `same` equal pairs."""
    counts: Counter[str] = Counter(tied=same)
    for item in rated:
        counts[_outcome(item, one, other)] += 1
    wins, undecided = counts["wins"], counts["tied"] + counts["swayed"]
    rows = wins + undecided + counts["losses"]
    return Preference(
        wins=wins,
        losses=counts["losses"],
        tied=counts["tied"],
        swayed=counts["swayed"],
        unusable=counts["unusable"],
        share=(wins + undecided / 2) / rows if rows else None,
    )


def share_of(rating: float) -> float:
    """A rating from 1 to 5 as a share in [0, 1]."""
    return (rating - LEAST) / (MOST - LEAST)


def _outcome(item: Rated, one: str, other: str) -> str:
    if item.gap(one) is None or item.gap(other) is None:
        return "unusable"
    leads = [ratings[one] - ratings[other] for ratings in (item.first, item.second)]
    if min(leads) < 0 < max(leads):
        return "swayed"
    if min(leads) > 0:
        return "wins"
    return "losses" if max(leads) < 0 else "tied"


def _spoken_of(text: str, names: Sequence[str]) -> dict[str, object] | None:
    """The last object in a text that has any of the names, its keys folded."""
    wanted = {_key(name) for name in names}
    found: dict[str, object] | None = None
    for outer in json_objects(text):
        for candidate in (*_inner(outer), outer):
            folded = {_key(key): value for key, value in candidate.items()}
            if wanted & folded.keys():
                found = folded
    return found


def _inner(outer: Mapping[str, object]) -> list[dict[str, object]]:
    return [cast("dict[str, object]", value) for value in outer.values() if isinstance(value, dict)]


def _key(name: str) -> str:
    return re.sub(r"[\s\-]+", "_", name.strip()).casefold()


def _number(value: object) -> float | None:
    if isinstance(value, dict):
        inner = cast("dict[str, object]", value)
        value = next((inner[key] for key in ("score", "rating", "value") if key in inner), None)
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        return float(match[1]) if match else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value
