"""Text files: decoded lines, and rows of lines."""

import codecs
import gzip
import io
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, cast

from ....scenarios.errors import InputError
from ....scenarios.files import open_regular
from .rows import Bad, Item, Row, Shape

_OTHER_ENCODINGS = {  # by byte order mark; that of UTF-16-LE begins that of UTF-32-LE
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def lines(path: Path, encoding: str | None = None) -> Generator[str]:
    """The lines of a UTF-8 file with their line ends; a byte order mark at the start is not part of the text.

    A file ending in `.gz` is decompressed. Only one line is held in memory. `encoding` is tried for lines
    that are not UTF-8. Raises InputError with line and byte when a line cannot be decoded, or when the file
    cannot be read.
    """
    offset = 0
    try:
        with _opened(path) as file:
            for number, raw in enumerate(file, start=1):
                line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                yield _decoded(line, path, number, offset + len(raw) - len(line), encoding)
                offset += len(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


_BUFFER = 1 << 20
"""Bytes read at a time. A thread that reads a few kilobytes at a time gives the interpreter up so often, and
takes it back so soon, that the thread of the event loop gets no turn between."""


def _opened(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return io.BufferedReader(cast("io.RawIOBase", gzip.open(path, "rb")), _BUFFER)
    return open_regular(path, "rb", _BUFFER)


def whole(path: Path) -> str:
    """The whole of a UTF-8 file."""
    return "".join(lines(path))


def _decoded(line: bytes, path: Path, number: int, offset: int, encoding: str | None) -> str:
    if number == 1:
        _refuse_utf16_and_utf32(line, path)
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        if encoding is not None:
            return line.decode(encoding)
        where = offset + error.start
        raise InputError(
            f"{path}:{number}: not UTF-8 text (byte 0x{line[error.start]:02x} at file offset {where}); "
            f"save the file as UTF-8{_windows(line)}"
        ) from None


def _refuse_utf16_and_utf32(line: bytes, path: Path) -> None:
    """InputError where a first line is UTF-16 or UTF-32, known by its byte order mark or by NUL bytes."""
    for mark, name in _OTHER_ENCODINGS.items():
        if line.startswith(mark):
            raise InputError(f"{path}:1: {name} text; save the file as UTF-8")
    if b"\0" in line:
        raise InputError(f"{path}:1: holds NUL bytes, as UTF-16 text does; save the file as UTF-8")


def _windows(line: bytes) -> str:
    """A hint where a line can be read as Windows-1252, in which Excel saves by default."""
    try:
        text = line.decode("cp1252")
    except UnicodeDecodeError:
        return ""
    around = next(i for i, sign in enumerate(text) if not sign.isascii())
    shown = text[max(0, around - 15) : around + 15].strip()
    return f" (as Windows-1252 it reads {shown!r}; Excel: Save As, CSV UTF-8)"


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
