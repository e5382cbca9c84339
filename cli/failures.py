"""Errors at the end of a command: one message each, an exit code, and never a traceback at the terminal."""

import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from errno import EMFILE, ENFILE, ENOENT, ENOSPC
from json import dumps
from pathlib import Path

from .options import Exit


def explain(error: Exception, folder: Path | None = None) -> Exit:
    """Print what went wrong on stderr and return the exit code. `folder` is the output folder of a run.

    The traceback of an error that nobody expected goes to `log.jsonl` in the folder, or to a temporary file.
    """
    from ..runtime.errors import QuotaExhausted
    from ..scenarios.errors import InputError, TransferPromptingError
    from .screen import Screen

    found = _chosen(error, (InputError, TransferPromptingError, OSError, Exception))
    if isinstance(found, OSError):
        found = _expected(found, folder)
    message = str(found) if isinstance(found, TransferPromptingError) else _unexpected(found, error, folder)
    with suppress(OSError):  # stderr is on a full disk
        Screen(stderr=True).print(message, style="red", markup=False, highlight=False)
    if isinstance(found, QuotaExhausted):
        return Exit.BUDGET
    return Exit.BAD_INPUT if isinstance(found, InputError) else Exit.FAILED


def _expected(error: OSError, folder: Path | None) -> Exception:
    """The error in words where it is about stdout, or no run's and about a path that was handed in; itself
    otherwise."""
    from ..runtime.errors import WriteFailed
    from ..scenarios.errors import InputError

    if isinstance(error, BrokenPipeError):
        return WriteFailed("nobody reads standard output any more; the same command goes on from here")
    if error.errno == ENOSPC and error.filename is None:
        return WriteFailed(f"standard output cannot be written: {error.strerror}")
    if folder is not None or error.errno in (EMFILE, ENFILE):
        return error
    if error.filename is not None:
        return InputError(f"{error.filename}: {error.strerror}")
    if error.errno == ENOENT:
        return InputError("the working directory is gone; change to one that exists")
    return error


def _chosen(error: Exception, kinds: tuple[type[Exception], ...]) -> Exception:
    """Of the errors in a group, the one that says most: the first of the first kind there is."""
    leaves = list(_leaves(error))
    return next((leaf for kind in kinds for leaf in leaves if isinstance(leaf, kind)), error)


def _leaves(error: BaseException) -> Iterator[Exception]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    elif isinstance(error, Exception):
        yield error


def _unexpected(found: Exception, error: Exception, folder: Path | None) -> str:
    safe = "" if folder is None or not (folder / "ledger.sqlite").is_file() else (
        f" Finished calls are safe in {folder / 'ledger.sqlite'}: the same command goes on from there."
    )  # fmt: skip
    if isinstance(found, OSError) and found.errno in (EMFILE, ENFILE):
        return f"too many open files; allow more (`ulimit -n`), or lower `limits.concurrency`.{safe}"
    said = " ".join(str(found).split())[:300]
    details = _details(error, folder)
    where = "" if details is None else f" Details are in {details}."
    return f"unexpected error: {type(found).__name__}{said and f': {said}'}.{where}{safe}"


def _details(error: Exception, folder: Path | None) -> Path | None:
    """The file that got the traceback; None where none could be written."""
    from ..scenarios.files import open_regular

    text = "".join(traceback.format_exception(error))
    if folder is not None and folder.is_dir():
        path = folder / "log.jsonl"
        at = datetime.now(UTC).isoformat()
        line = {"event": "UnexpectedError", "exception": text, "level": "error", "timestamp": at}
        try:
            with open_regular(path, "ab") as file:
                file.write(f"{dumps(line)}\n".encode())
        except OSError:
            pass
        else:
            return path
    try:
        handle, name = tempfile.mkstemp(prefix="tprompt-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return None
    return Path(name)
