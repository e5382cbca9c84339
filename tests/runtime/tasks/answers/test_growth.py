"""Readers of replies take time linear in the length of a reply, whatever repeats in it."""

import re
import time
from collections.abc import Callable

import pytest

from transfer_prompting.runtime.tasks.answers.cleaning import plain
from transfer_prompting.runtime.tasks.answers.reasoning import without_reasoning

from support.readers import READERS
from support.texts import SIGNS, WORDS

LENGTH = 100_000
MOST = 12
"""Reading may take so many times the CPU time of `yardstick`: several times what it takes, and a small part
of what one quadratic pattern takes. A comparison, so that a slow or a busy machine makes no difference."""

TEXTS = {
    "repeated": {unit: (unit * LENGTH)[:LENGTH] for unit in [*SIGNS, *WORDS]},
    "between letters": {unit: f"a{(unit * LENGTH)[: LENGTH - 2]}b" for unit in SIGNS},
    "in an answer": {unit: f"Answer: {(unit * LENGTH)[: LENGTH - 9]}x" for unit in SIGNS},
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


def uncached(text: str, reader: Callable[[str], object]) -> float:
    """CPU seconds of a reader of a text that none has read before."""
    plain.cache_clear()
    without_reasoning.cache_clear()
    return seconds(reader, text)


@pytest.mark.parametrize("where", TEXTS)
def test_a_long_reply_that_repeats_itself_is_read_quickly(where: str):
    for reader in READERS.values():
        reader("a")  # patterns are compiled once
    most = MOST * min(unit() for _ in range(3))
    slow: list[tuple[str, str]] = []
    for repeated, text in TEXTS[where].items():
        cleaned = uncached(text, plain)  # done once for all readers, and counted for each
        for name, reader in READERS.items():
            if cleaned + seconds(reader, text) > most and all(
                uncached(text, reader) > MOST * unit() for _ in range(3)
            ):
                slow.append((name, repeated))
    assert slow == []
