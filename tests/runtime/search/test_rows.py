"""Blocks: every row once, every block a small image of the whole, the same for every candidate."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.search.race import block_sizes, blocks
from transfer_prompting.runtime.tasks.example import Example


def rows(count: int, labels: tuple[str, ...] = ("a", "b")) -> list[Example]:
    return [Example(f"{i:03d}", f"Question {i}?", labels[i % len(labels)]) for i in range(count)]


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20))
def test_every_row_is_in_exactly_one_block(one: int, other: int, size: int):
    given_rows = {"one": rows(one), "other": rows(other)}
    found = blocks(given_rows, size=size, seed=3)
    for task, part in given_rows.items():
        asked = [row.id for block in found for row in block[task]]
        assert sorted(asked) == [row.id for row in part]
        assert all(len(block[task]) <= size for block in found)


def test_every_block_holds_its_share_of_every_gold_answer():
    for block in blocks({"t": rows(60, ("a", "b", "c"))}, size=15, seed=1):
        assert Counter(row.gold for row in block["t"]) == {"a": 5, "b": 5, "c": 5}


def test_the_order_depends_on_the_seed_and_not_on_the_order_of_the_rows():
    first = blocks({"t": rows(30)}, size=10, seed=1)
    assert blocks({"t": list(reversed(rows(30)))}, size=10, seed=1) == first
    assert blocks({"t": rows(30)}, size=10, seed=2) != first


def test_the_sizes_told_before_are_those_of_the_blocks():
    given_rows = {"small": rows(7), "large": rows(50)}
    found = blocks(given_rows, size=8, seed=1)
    assert block_sizes(given_rows, 8) == [{task: len(part) for task, part in b.items()} for b in found]
