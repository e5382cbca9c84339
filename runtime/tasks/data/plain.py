"""Plain text files: a row a line, or a row a block of lines."""

from collections.abc import Iterator
from pathlib import Path

from .row import Bad, Item, Row, Shape
from .text import lines


def read_plain(path: Path, shape: Shape) -> Iterator[Item]:
    """The rows of a text file: `{"line": …}` a line, or `{"lines": […]}` for each `shape.block` lines.

    Blank lines are no rows; inside a block they count. Blank lines after the last block are ignored.
    """
    if shape.block == 1:
        for number, line in enumerate(lines(path, shape.encoding), start=1):
            if line.strip():
                yield Row({"line": line.rstrip("\r\n")}, f"{path}:{number}")
    else:
        yield from _blocks(path, shape)


def _blocks(path: Path, shape: Shape) -> Iterator[Item]:
    block: list[str] = []
    number = 0
    for number, line in enumerate(lines(path, shape.encoding), start=1):
        block.append(line.rstrip("\r\n"))
        if len(block) == shape.block:
            yield Row({"lines": block}, f"{path}:{number - shape.block + 1}")
            block = []
    if any(line.strip() for line in block):
        yield Bad(
            f"{path}:{number - len(block) + 1}",
            f"the file ends after {len(block)} of {shape.block} lines of a row",
        )
