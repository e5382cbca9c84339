"""The files of an output folder: made, written whole or not at all, and read with one message."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ...scenarios.errors import InputError
from ...scenarios.files import open_regular
from ..errors import WriteFailed


def make_folder(path: Path) -> None:
    """Make an output folder; InputError where that cannot be, or nothing can be written into it."""
    probe = path / ".tprompt-writable"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{path}: cannot be the output folder: {problem}; choose another --out") from None


@contextmanager
def writing(path: Path) -> Generator[None]:
    """A scope that writes to `path`: errors of the disk in it become WriteFailed."""
    try:
        yield
    except OSError as error:
        raise WriteFailed(
            f"{path}: cannot be written: {error.strerror or error}. Free space or restore the folder, and "
            "run the same command again: calls that are in the ledger are not paid twice"
        ) from error


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in one step: readers see the earlier file or the new one, never a part.

    Raises WriteFailed, and leaves nothing behind.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    with writing(path):
        try:
            with open_regular(temporary, "wb") as file:
                file.write(data)
            temporary.replace(path)
        except OSError:
            with suppress(OSError):  # the folder may be gone, and the file with it
                temporary.unlink(missing_ok=True)
            raise


def read_file(path: Path) -> bytes:
    """The bytes of a file; InputError where it cannot be read."""
    try:
        with open_regular(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


@contextmanager
def opened(path: Path) -> Generator[IO[bytes]]:
    """A file that is rewritten from the start. Raises WriteFailed where it cannot be made or completed."""
    with writing(path):
        file = open_regular(path, "wb")
    try:
        yield file
    finally:
        with writing(path):
            file.close()


AGAIN = "move the file away and run the scenario again: calls in the ledger are not paid twice"
"""What to do about a damaged file of a run."""


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The numbered lines of a file; a last one without its end, as a killed run leaves it, is left out.

    Raises InputError where it cannot be read.
    """
    try:
        with open_regular(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield number, line
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
