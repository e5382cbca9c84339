"""Examples that stand in two predefined splits."""

from collections.abc import Sequence
from itertools import combinations

from ..errors import InputError
from .alike import asked, near_pairs
from .example import Example

_SHOWN = 5

Part = tuple[str, Sequence[Example]]


def refuse_overlap(name: str, splits: Sequence[Part], places: dict[str, str]) -> None:
    """Raise InputError, listing rows, where two splits ask the same. `places` says where a row id stands."""
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
            f"tasks.{name}.files: {len(problems)} rows stand in two splits; take them out of one, or "
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
