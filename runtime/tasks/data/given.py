"""Rows that are given in code, or stand in the scenario itself."""

from collections.abc import Iterable, Iterator

from .row import Item, Row, Values


def given(rows: Iterable[Values], key: str) -> Iterator[Item]:
    """These rows; `key` is where they stand in the scenario, and their place is their index below it."""
    return (Row(values, f"{key}[{index}]") for index, values in enumerate(rows))
