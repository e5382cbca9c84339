"""The ledger's file: locked, created whole or not at all, recognised before it is used."""

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ....scenarios.errors import InputError
from ....scenarios.files import open_regular
from ._rows import APPLICATION_ID, KEY_BYTES, MIGRATIONS, SCHEMA, SCHEMA_VERSION


@contextmanager
def exclusive(path: Path) -> Generator[None]:
    """Hold the lock of `path` (a file `path`.lock beside it, which stays and holds the holder's process id).

    Makes the folder. The kernel releases the lock when the process ends, however it ends. Raises InputError
    when the folder cannot be written to, and when another process, or another part of this one, holds the
    lock.
    """
    file = path.with_name(f"{path.name}.lock")
    lock = FileLock(file, timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        holder = _holder(file)  # read first: versions of filelock empty the file when they try
        try:
            lock.acquire()
        except Timeout:
            raise InputError(_in_use(path, holder)) from None
        file.write_text(str(os.getpid()), encoding="ascii")
    except OSError as error:
        raise InputError(f"{path.parent}: this folder cannot be written to: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def _holder(file: Path) -> str:
    """The process id in the lock file; empty where it cannot be read."""
    try:
        with open_regular(file, "rb") as there:
            return there.read(20).decode("ascii", errors="replace").strip()
    except OSError:
        return ""


def _in_use(path: Path, pid: str) -> str:
    holder = "this process" if pid == str(os.getpid()) else f"process {pid}" if pid else "another process"
    return (
        f"{path}: {holder} is using this folder's call ledger; wait until it ends, stop it, "
        "or choose another output folder"
    )


_MAGIC = b"SQLite format 3\x00"
_HEADER = 100  # bytes; the application id stands at 68 (https://www.sqlite.org/fileformat.html, 1.3)
_KEEP = "nothing was changed in it"


def open_ledger_file(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Connections to write and to read the ledger at `path`, which is made where there is none.

    Raises InputError, and leaves the file as it is, when it is no SQLite file, another program's, of a
    newer schema, damaged, or not accessible. Blocks: reads the whole file once to prove it sound.
    """
    with reading(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or (path.is_file() and path.stat().st_size == 0):
            _create(path)
        _recognise(path)
        return _connect(path)


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Raises InputError instead of the errors of a file that cannot be read or is damaged."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        problem = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: the call ledger cannot be opened: {problem}") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, detail: object) -> InputError:
    """The error for a file that SQLite cannot read."""
    return InputError(
        f"{path}: this call ledger is damaged ({detail}); {_KEEP}. Restore it (with its -wal file) from a "
        "copy, or move it away and pay for its calls again"
    )


def _create(path: Path) -> None:
    """Write an empty ledger beside `path` and put it there, so that no half-made file is ever at `path`."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    _remove(draft)
    try:
        with closing(_connection(draft)) as connection:
            # The mode stays with the file; to change it later would need the file to oneself.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(
                f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
                f"{SCHEMA} COMMIT;"
            )
        _publish(draft, path)
    finally:
        _remove(draft)


def _remove(draft: Path) -> None:
    """Remove a draft with the files that SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        draft.with_name(f"{draft.name}{suffix}").unlink(missing_ok=True)


def _publish(draft: Path, path: Path) -> None:
    """Give the draft the name `path`. Of two processes that make a shared ledger at once, one wins."""
    try:
        os.link(draft, path)
    except FileExistsError:
        if not path.stat().st_size:
            draft.replace(path)
    except OSError:  # a file system without hard links
        draft.replace(path)


def _recognise(path: Path) -> None:
    with open_regular(path, "rb") as file:
        header = file.read(_HEADER)
    if not header.startswith(_MAGIC[: len(header)]):
        raise InputError(
            f"{path}: this is not a call ledger, nor any SQLite file; {_KEEP}. Move it away, or choose "
            "another output folder"
        )
    if len(header) < _HEADER:
        raise damaged(path, f"it ends after {len(header)} bytes")
    if int.from_bytes(header[68:72]) != APPLICATION_ID:
        raise InputError(
            f"{path}: this SQLite file belongs to another program and is not a call ledger; {_KEEP}. Move it "
            "away, or choose another output folder"
        )


def _connect(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    writer = _connection(path)
    try:
        _prove(writer, path)
        _migrate(writer)
        _check_rows(writer, path)
        writer.execute("PRAGMA journal_mode = WAL")
        _tune(writer)
        reader = _connection(path)
        _tune(reader)
    except BaseException:
        writer.close()
        raise
    return writer, reader


def _prove(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{path}: this call ledger has schema {version}, written by a newer version of "
            f"transfer-prompting (this one knows {SCHEMA_VERSION}); {_KEEP}. Update the package, or choose "
            "another output folder"
        )
    (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise damaged(path, " ".join(str(finding).split()))


_MOST = {"INTEGER": 2**31 - 1, "REAL": 2**40}
"""The largest numbers of a row: tokens and attempts; seconds, also those since 1970."""


def _check_rows(connection: sqlite3.Connection, path: Path) -> None:
    """InputError where a table or column is missing, or a value is none that its column can hold."""
    memory = sqlite3.connect(":memory:")
    try:
        memory.executescript(SCHEMA)
        for (table,) in memory.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            columns = memory.execute(f"PRAGMA table_info({table})").fetchall()
            if missing := [row[1] for row in columns if row[1] not in there]:
                raise damaged(path, f"its table {table} lacks {', '.join(missing)}")
            wrong = " OR ".join(_wrong(name, kind) for _, name, kind, *_ in columns)
            if connection.execute(f"SELECT 1 FROM {table} WHERE {wrong} LIMIT 1").fetchone():
                raise damaged(path, f"a value in its table {table} is not of its column's type or range")
    finally:
        memory.close()


def _wrong(column: str, kind: str) -> str:
    """The condition under which a value cannot be that of a column; a REAL may be stored as an INTEGER."""
    kinds = {"INTEGER": "('integer')", "REAL": "('real', 'integer')", "TEXT": "('text')", "BLOB": "('blob')"}
    beyond = f" OR {column} NOT BETWEEN 0 AND {_MOST[kind]}" if kind in _MOST else ""
    length = f" OR length({column}) != {KEY_BYTES}" if column == "key" else ""
    return f"({column} IS NOT NULL AND (typeof({column}) NOT IN {kinds[kind]}{beyond}{length}))"


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring an older ledger to this schema; of two processes that open a shared one, one does it."""
    if _version(connection) == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    if (version := _version(connection)) < SCHEMA_VERSION:
        for before in range(max(1, version), SCHEMA_VERSION):
            for statement in MIGRATIONS[before]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _connection(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path.absolute(),  # SQLite may read a relative name as a URI (`file:…`) or as `:memory:`
        timeout=30,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )


def _tune(connection: sqlite3.Connection) -> None:
    """NORMAL with WAL: a commit survives the death of the process; a power cut may lose the last commits,
    never the file."""
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -8000")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
