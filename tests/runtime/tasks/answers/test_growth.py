"""Readers of replies take time linear in the length of a reply, whatever repeats in it."""

import re
import time
from collections.abc import Callable

import pytest

from support.readers import READERS
from support.texts import SIGNS, WORDS

LENGTH = 100_000
MOST = 12
"""Reading may take so many times the CPU time of `yardstick`: several times what it takes, and a small part
of what one quadratic pattern takes. A comparison, so that a slow or a busy machine makes no difference."""

TEXTS = {
    **{f"{unit!r} repeated": (unit * LENGTH)[:LENGTH] for unit in [*SIGNS, *WORDS]},
    **{f"{unit!r} between letters": f"a{(unit * LENGTH)[: LENGTH - 2]}b" for unit in SIGNS},
    **{f"{unit!r} in an answer": f"Answer: {(unit * LENGTH)[: LENGTH - 9]}x" for unit in SIGNS},
}

_PIECES = re.compile(r"[a-z]+|[^a-z]", re.IGNORECASE)


def yardstick(text: str) -> object:
    """Work that is linear in the length of the text: each of its characters is matched and counted."""
    return sum(len(piece) for piece in _PIECES.findall(text))


def seconds(reader: Callable[[str], object], text: str) -> float:
    """CPU seconds of this thread."""
    start = time.thread_time()
    reader(text)
    return time.thread_time() - start


def unit() -> float:
    """CPU seconds of the yardstick on a text of this length."""
    return max(seconds(yardstick, "a b. " * (LENGTH // 5)), 1e-3)


def is_slow(reader: Callable[[str], object], text: str, first: float) -> bool:
    """True where three readings each took more than `MOST` times the unit measured beside them."""
    if seconds(reader, text) <= MOST * first:
        return False
    return all(seconds(reader, text) > MOST * unit() for _ in range(3))


@pytest.mark.parametrize("name", READERS)
def test_a_long_reply_that_repeats_itself_is_read_quickly(name: str):
    READERS[name]("a")  # patterns are compiled once
    first = min(unit() for _ in range(3))
    assert [label for label, text in TEXTS.items() if is_slow(READERS[name], text, first)] == []
