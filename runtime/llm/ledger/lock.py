"""One process at a time: a lock file that the kernel frees when its holder dies, however it dies."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ...errors import InputError

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # Windows locks are mandatory: a byte beyond the text leaves the holder's pid readable.

    def _take(file: int) -> None:
        os.lseek(file, _FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
else:
    import fcntl

    def _take(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def exclusive(path: Path) -> Generator[None]:
    """Hold the lock of `path` (a file `path`.lock beside it, which stays and holds the holder's pid).

    Makes the folder. Raises InputError when it cannot, and when another process, or another part of this
    one, holds the lock.
    """
    file = _lock_file(path)
    try:
        try:
            _take(file)
        except OSError as error:
            raise InputError(_taken(path, file)) from error
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        yield
    finally:
        os.close(file)


def _lock_file(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{path.parent}: this folder cannot be written to: {error.strerror}") from error


def _taken(path: Path, file: int) -> str:
    pid = os.read(file, 20).decode("ascii", "replace").strip()
    holder = "this process" if pid == str(os.getpid()) else f"process {pid}" if pid else "another process"
    return (
        f"{path}: {holder} is using this folder's call ledger; wait until it ends, stop it, "
        "or choose another output folder"
    )
