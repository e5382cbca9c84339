"""Call ledgers, sound and otherwise."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import anyio

from transfer_prompting.runtime.llm.chat import ChatResponse
from transfer_prompting.runtime.llm.ledger.ledger import Ledger

HERE = "http://host/v1"


def answered(text: str = "B") -> ChatResponse:
    return ChatResponse(text=text)


async def fill(path: Path, count: int) -> None:
    async with Ledger.open(path) as ledger:
        for i in range(count):
            ledger.put(i.to_bytes(16), HERE, "m", answered("x" * 100))


def foreign(path: Path) -> None:
    """Another program's SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")


def newer(path: Path) -> None:
    """A ledger of a schema that is yet to come."""
    anyio.run(fill, path, 3)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def torn(path: Path) -> None:
    """A ledger that lost its second half."""
    anyio.run(fill, path, 400)
    os.truncate(path, path.stat().st_size // 2)


def holed(path: Path) -> None:
    """A ledger with a block of zeros in it."""
    anyio.run(fill, path, 400)
    content = bytearray(path.read_bytes())
    content[8192:16384] = bytes(8192)
    path.write_bytes(content)
