"""How one text differs from another, and by which steps a prompt came about."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import lru_cache

from .story import Prompts
from .view import Lineage, Piece

WORDS_COMPARED = 4_000
"""Texts with more words and spaces in all are compared as wholes: comparing takes their product in time."""

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


@lru_cache(maxsize=4096)
def change(before: str, after: str) -> tuple[Piece, ...]:
    """The pieces that make `after` out of `before`, word by word; pieces of one kind never follow each other.

    Kept and put-in pieces together are `after`, kept and left-out ones `before`.
    """
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if len(old) + len(new) > WORDS_COMPARED:
        return _joined([("-", before), ("+", after)])
    pieces: list[Piece] = []
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(("=", "".join(old[i:j])))
        else:
            pieces.append(("-", "".join(old[i:j])))
            pieces.append(("+", "".join(new[k:m])))
    return _joined(pieces)


def lineage(prompts: Prompts, prompt: int, original: int | None) -> Lineage:
    """The prompt's line of nearest parents, from the first that is known, and what changed at each step."""
    line = _line(prompts, prompt)
    steps = [
        (place, change(prompts[before].text, prompts[place].text) if before is not None else ())
        for before, place in zip([None, *line], line, strict=False)
    ]
    against = () if original is None else change(prompts[original].text, prompts[prompt].text)
    return Lineage(prompt=prompt, original=original, change=against, steps=tuple(steps))


def _line(prompts: Prompts, prompt: int) -> list[int]:
    line = [prompt]
    while parents := prompts.find(prompts[line[0]].parents):
        if parents[0] in line:
            break
        line.insert(0, parents[0])
    return line


def _joined(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    joined: list[Piece] = []
    for kind, text in pieces:
        if not text:
            continue
        if joined and joined[-1][0] == kind:
            joined[-1] = (kind, joined[-1][1] + text)
        else:
            joined.append((kind, text))
    return tuple(joined)
