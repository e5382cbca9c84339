"""Opening of regular files alone: reading a FIFO may wait for ever, and some devices have no end."""

import os
import stat
from pathlib import Path
from typing import IO, Literal

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def open_regular(path: Path, mode: Literal["rb", "wb", "ab"], buffering: int = -1) -> IO[bytes]:
    """Open a file without waiting. Raises OSError, also where `path` is a folder, a FIFO, a socket, or a
    device (which may be written to, as `/dev/full`)."""
    return open(path, mode, buffering, opener=_opened)


def _opened(path: str, flags: int) -> int:
    # Without O_NONBLOCK opening a FIFO waits for its other end; for regular files it changes nothing.
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    written = flags & (os.O_WRONLY | os.O_RDWR)
    if kind == stat.S_IFREG or (written and kind == stat.S_IFCHR):
        return descriptor
    os.close(descriptor)
    raise OSError(None, f"{_KINDS.get(kind, 'something else')}, not a regular file", path)
