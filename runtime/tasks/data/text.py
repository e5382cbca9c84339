"""Lines of text files, decoded one at a time."""

import codecs
from collections.abc import Generator
from pathlib import Path

from ...errors import InputError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def lines(path: Path, encoding: str | None = None) -> Generator[str]:
    """The lines of a UTF-8 file with their line ends; a byte order mark at the start is not part of the text.

    Only one line is held in memory. `encoding` is tried for lines that are not UTF-8. Raises InputError with
    line and byte when a line cannot be decoded, or when the file cannot be opened.
    """
    offset = 0
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                yield _decoded(line, path, number, offset + len(raw) - len(line), encoding)
                offset += len(raw)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def whole(path: Path) -> str:
    """The whole of a UTF-8 file."""
    return "".join(lines(path))


def _decoded(line: bytes, path: Path, number: int, offset: int, encoding: str | None) -> str:
    if number == 1 and line.startswith(_UTF16):
        raise InputError(f"{path}:1: UTF-16 text; save the file as UTF-8")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        if encoding is not None:
            return line.decode(encoding)
        where = offset + error.start
        raise InputError(
            f"{path}:{number}: not UTF-8 text (byte 0x{line[error.start]:02x} at file offset {where}); "
            "save the file as UTF-8"
        ) from None
