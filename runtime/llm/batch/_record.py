"""The record of batches: which calls are in which, written before anything is waited for."""

import os
from pathlib import Path

import anyio.to_thread
import msgspec

from ....scenarios.errors import InputError
from ....scenarios.files import open_regular
from ...errors import UNREADABLE, WriteFailed


class Sent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: a file of calls that was uploaded, and the batch that was made of it, once there is one.

    `keys` are the calls' keys in the ledger, as hexadecimal digits, which are their `custom_id`s too.
    """

    endpoint: str
    file: str
    keys: tuple[str, ...] = ()
    batch: str | None = None


class BatchRecord:
    """The batches of a run and its earlier invocations; without a path they are forgotten with the process.

    Raises InputError when the file holds a line that is none, but for a last one that was cut off, and
    WriteFailed when it cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._batches: dict[str, Sent] = {}
        self._files: dict[tuple[str, str], str] = {}
        if path is not None and path.exists():
            self._read(path)

    def of(self, endpoint: str, key: str) -> Sent | None:
        """The last file with a call of an endpoint, and its batch; None where there is none."""
        file = self._files.get((endpoint, key))
        return None if file is None else self._batches[file]

    def forget(self, endpoint: str, key: str) -> None:
        """Have a call of an endpoint made anew where it is made again: its batch has no more to say of it."""
        self._files.pop((endpoint, key), None)

    async def add(self, sent: Sent) -> None:
        """Return once the line is on disk."""
        self._note(sent)
        if self._path is not None:
            await anyio.to_thread.run_sync(self._append, msgspec.json.encode(sent) + b"\n")

    def _note(self, sent: Sent) -> None:
        before = self._batches.get(sent.file)
        keys = sent.keys or (before.keys if before else ())
        self._batches[sent.file] = msgspec.structs.replace(sent, keys=keys)
        for key in sent.keys:
            self._files[sent.endpoint, key] = sent.file

    def _append(self, line: bytes) -> None:
        assert self._path is not None
        try:
            with open_regular(self._path, "ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise WriteFailed(f"{self._path}: cannot be written: {error.strerror or error}") from error

    def _read(self, path: Path) -> None:
        try:
            with open_regular(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
        *lines, rest = data.split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                self._note(msgspec.json.decode(line, type=Sent))
            except UNREADABLE as error:
                raise InputError(
                    f"{path}:{number}: no record of a batch ({error}); restore the file from a copy, or "
                    "remove it and pay for its calls again"
                ) from None
        if rest:  # cut off when the process was killed: nothing was sent after it
            os.truncate(path, len(data) - len(rest))
