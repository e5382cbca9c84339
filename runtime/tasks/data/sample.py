"""A bounded, seeded sample of a stream."""

import random
from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def sample(items: Iterable[T], limit: int | None, *, shuffle: bool, random: random.Random) -> list[T]:
    """At most `limit` items: the first ones, or with `shuffle` a uniform sample in random order.

    Reservoir sampling (Vitter's algorithm R): one pass, at most `limit` items in memory, and it needs neither
    the length of the stream nor a way back, so it serves every format alike. The whole stream is read, so
    a broken row is found wherever it stands; without `shuffle` reading stops at the limit.
    """
    if not shuffle:
        return list(islice(items, limit))
    kept: list[T] = []
    for seen, item in enumerate(items):
        if limit is None or seen < limit:
            kept.append(item)
        elif (slot := random.randrange(seen + 1)) < limit:
            kept[slot] = item
    random.shuffle(kept)
    return kept
