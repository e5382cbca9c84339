"""How far each round of a race goes, and how many may go on."""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

Method = Literal["none", "paired", "halving", "both"]
"""How candidates that cannot win are found: by a paired test, by successive halving, by both, or not."""


class Rung(msgspec.Struct, frozen=True):
    """Every racer answers the first `blocks` blocks; then at most `most` new ones go on (None: any)."""

    blocks: int
    most: int | None = None


def ladder(method: Method, *, blocks: int, fresh: int) -> tuple[Rung, ...]:
    """The rungs of a race of `fresh` new candidates over `blocks` blocks; the last one covers them all.

    A paired test is taken after every block. Successive halving (Jamieson and Talwalkar 2016; TRIPLE, arXiv
    2402.09723) doubles the blocks as it halves the candidates, so that every rung costs about the same.
    """
    if method == "none":
        return (Rung(blocks),)
    if method == "paired":
        return tuple(Rung(b) for b in range(1, blocks + 1))
    halvings = min(max(fresh - 1, 0).bit_length(), blocks - 1)
    rungs: list[Rung] = []
    for i in range(halvings):
        reached = max(i + 1, round(blocks / 2 ** (halvings - i)))
        rungs.append(Rung(min(reached, blocks - halvings + i), -(-fresh // 2 ** (i + 1))))
    return (*rungs, Rung(blocks))


def racing(rungs: Iterable[Rung], fresh: int) -> Iterator[tuple[int, int, int]]:
    """From block, to block, and how many new candidates answer these blocks at most, rung by rung."""
    done = 0
    for rung in rungs:
        yield done, rung.blocks, fresh
        done = rung.blocks
        fresh = fresh if rung.most is None else min(fresh, rung.most)
