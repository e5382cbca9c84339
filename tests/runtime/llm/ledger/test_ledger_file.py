"""The ledger's file: what it refuses to touch, what survives `kill -9`, and who may use it at once."""

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio.streams.text import TextReceiveStream

from transfer_prompting.runtime.llm.chat import Usage
from transfer_prompting.runtime.llm.ledger.ledger import Ledger
from transfer_prompting.runtime.llm.ledger.records import LedgerFailed
from transfer_prompting.scenarios.errors import InputError

from support.ledgers import HERE, answered, fill, foreign, holed, newer, torn


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "ledger.sqlite"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda path: path.write_text("name: a scenario, by mistake"),
            "not a call ledger, nor any SQLite file; nothing was changed in it. Move it away, or choose "
            "another output folder$",
        ),
        (
            foreign,
            "belongs to another program and is not .* it. Move it away, or choose another output folder$",
        ),
        (
            newer,
            "schema 99, written by a newer version .*knows 3.*Update the package, or choose another output",
        ),
        (
            torn,
            r"damaged \(.*\); nothing was changed in it. Restore it \(with its -wal file\) from a copy, or "
            "move it away and pay for its calls again$",
        ),
        (holed, "damaged"),
        (lambda path: path.write_bytes(b"SQLite format 3\x00"), "ends after 16 bytes"),
        (lambda path: path.mkdir(), "cannot be opened: a folder, not a regular file"),
    ],
)
def test_a_file_that_is_no_sound_ledger_is_named_and_left_as_it_is(
    path: Path, make: Callable[[Path], object], says: str
) -> None:
    path.parent.mkdir(parents=True)
    make(path)
    before = path.read_bytes() if path.is_file() else None

    async def opened() -> None:
        async with Ledger.open(path):
            pytest.fail("opened")

    with pytest.raises(InputError, match=says) as caught:
        anyio.run(opened)
    assert str(path) in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before


async def test_of_drafts_that_a_killed_process_left_nothing_stays(path: Path) -> None:
    path.parent.mkdir()
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(f"{path.name}.{os.getpid()}.new{suffix}").write_bytes(b"left over")
    await fill(path, 1)
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"{path.name}.lock"]


def test_a_draft_that_cannot_be_put_in_place_is_removed(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(path)

    async def opened() -> None:
        async with Ledger.open(path, shared=True):
            pytest.fail("opened")

    with pytest.raises(InputError, match="symbolic links"):
        anyio.run(opened)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["file:x?mode=memory", ":memory:"])
async def test_names_that_mean_something_to_sqlite_are_names_of_files(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path.parent.mkdir()
    monkeypatch.chdir(path.parent)
    async with Ledger.open(Path(name), shared=True) as ledger:
        await ledger.record(b"k" * 16, HERE, "m", answered())
    assert [file.name for file in path.parent.iterdir()] == [name]


@pytest.mark.parametrize("error", [OSError("no hard links"), FileExistsError("made by another process")])
async def test_a_ledger_is_made_without_hard_links_and_beside_another_process(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def link(draft: Path, to: Path) -> None:
        if isinstance(error, FileExistsError):
            shutil.copy(draft, to)
        raise error

    monkeypatch.setattr(os, "link", link)
    async with Ledger.open(path, shared=True) as ledger:
        await ledger.record(b"k" * 16, HERE, "m", answered())
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_the_folder_of_a_shared_ledger_is_made_with_those_above_it(path: Path) -> None:
    deep = path.parent / "caches" / "of" / "all"
    async with Ledger.open(deep / "ledger.sqlite", shared=True) as ledger:
        await ledger.record(b"k" * 16, HERE, "m", answered())
    assert (deep / "ledger.sqlite").exists()


@pytest.mark.parametrize(
    ("content", "holder"), [(b"", "another process"), (b"\xff" * 99, "process"), (b" 123 ", "process 123")]
)
async def test_a_lock_whose_holder_cannot_be_read_is_a_lock(path: Path, content: bytes, holder: str) -> None:
    async with Ledger.open(path):
        path.with_name(f"{path.name}.lock").write_bytes(content)
        says = f"{holder}.* is using this folder's call ledger; .* or choose another output folder"
        with pytest.raises(InputError, match=says):
            async with Ledger.open(path):
                pytest.fail("opened")


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_a_ledger_of_an_earlier_version_is_brought_to_this_one(path: Path, version: int) -> None:
    await fill(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE calls DROP COLUMN batched")
        for table in ("calls", "failures") if version < 2 else ():
            for column in ("uncounted_prompt", "uncounted_completion"):
                connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute(f"PRAGMA user_version = {version}")
    for _ in range(2):
        async with Ledger.open(path) as ledger:
            found = ledger.find((0).to_bytes(16))
            await ledger.record(b"n" * 16, HERE, "m", answered())
            assert found is not None
            assert (found.text, found.batched, found.uncounted) == ("x" * 100, False, Usage())
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("ALTER TABLE calls DROP COLUMN batched", "its table calls lacks batched"),
        ("DROP TABLE invocations", "its table invocations lacks id, started_at, seconds"),
    ],
)
async def test_a_ledger_without_a_table_or_column_is_damaged(path: Path, statement: str, says: str) -> None:
    await fill(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
    with pytest.raises(InputError, match=rf"{path}: this call ledger is damaged \({says}\)"):
        async with Ledger.open(path):
            pass


@pytest.mark.parametrize(
    "change",
    [
        "key = x'00'",
        "key = CAST('0123456789abcdef' AS TEXT)",
        "attempts = -1",
        "attempts = 2147483648",
        "attempts = 1.5",
        "attempts = 'many'",
        "seconds = -0.5",
        "seconds = 1e13",
        "seconds = 'soon'",
        "text = x'00'",
        "tokens = 'text'",
    ],
)
async def test_a_value_that_its_column_cannot_hold_is_damage(path: Path, change: str) -> None:
    await fill(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE calls SET {change}")
        connection.commit()
    says = rf"{path}: .* is damaged \(a value in its table calls is not of its column's type or range"
    with pytest.raises(InputError, match=says):
        async with Ledger.open(path):
            pass


async def test_the_largest_values_of_a_column_are_none(path: Path) -> None:
    await fill(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE calls SET attempts = 2147483647, seconds = 1e12, prompt_tokens = 0")
        connection.commit()
    async with Ledger.open(path) as ledger:
        found = ledger.find((0).to_bytes(16))
    assert found is not None
    assert (found.attempts, found.seconds) == (2147483647, 1e12)


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()
    anyio.run(fill, path, 1)
    anyio.run(fill, path, 1)


_CHILD = """
import sys, anyio
from pathlib import Path
from transfer_prompting.runtime.llm.ledger.ledger import Ledger
from transfer_prompting.runtime.llm.chat import ChatResponse

async def main():
    async with Ledger.open(Path(sys.argv[1])) as ledger:
        print("open", flush=True)
        numbers = iter(range(10**9))
        async def record():
            for i in numbers:
                await ledger.record(i.to_bytes(16, "big"), "e", "m", ChatResponse(text=str(i)))
                print(i, flush=True)
        async with anyio.create_task_group() as tasks:
            for _ in range(32):
                tasks.start_soon(record)

anyio.run(main)
"""


async def _killed_after(path: Path, lines: int) -> set[int]:
    """Run a process that records, kill it after it has said so many lines, and return what it had said."""
    text = ""
    async with await anyio.open_process([sys.executable, "-c", _CHILD, str(path)]) as process:
        assert process.stdout is not None
        async for chunk in TextReceiveStream(process.stdout):
            text += chunk
            if text.count("\n") > lines and process.returncode is None:
                process.send_signal(signal.SIGKILL)
    said = text[: text.rfind("\n")].split("\n")
    return {int(line) for line in said if line != "open"}


@pytest.mark.parametrize("lines", [1, 40, 700])
async def test_every_call_handed_on_survives_kill_9(path: Path, lines: int) -> None:
    with anyio.fail_after(30):
        said = await _killed_after(path, lines)
    assert len(said) >= lines
    async with Ledger.open(path) as ledger:
        for i in said:
            found = ledger.find(i.to_bytes(16))
            assert found is not None
            assert found.text == str(i)


async def test_a_second_process_is_refused_until_the_first_is_dead(path: Path) -> None:
    with anyio.fail_after(30):
        async with await anyio.open_process([sys.executable, "-c", _CHILD, str(path)]) as process:
            assert process.stdout is not None
            await process.stdout.receive()
            with pytest.raises(InputError, match=f"process {process.pid} is using"):
                async with Ledger.open(path):
                    pytest.fail("opened")
            process.kill()
    async with Ledger.open(path):
        pass


async def test_a_ledger_is_refused_to_another_part_of_the_same_process(path: Path) -> None:
    async with Ledger.open(path):
        with pytest.raises(InputError, match="this process is using"):
            async with Ledger.open(path):
                pytest.fail("opened")


async def test_a_shared_ledger_is_open_to_many_at_once(path: Path) -> None:
    async with Ledger.open(path, shared=True) as one, Ledger.open(path, shared=True) as two:
        await one.record(b"a" * 16, HERE, "m", answered("one"))
        await two.record(b"b" * 16, HERE, "m", answered("two"))
        assert [ledger.find(key * 16) is not None for ledger in (one, two) for key in (b"a", b"b")] == [
            True
        ] * 4


_WRITER = """
import sys, anyio
from pathlib import Path
from transfer_prompting.runtime.llm.ledger.ledger import Ledger
from transfer_prompting.runtime.llm.chat import ChatResponse

path, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with Ledger.open(path, shared=True) as ledger:
        async def record(i):
            await ledger.record(i.to_bytes(16, "big"), "e", "m", ChatResponse(text=f"{i} of {first}"))
            assert ledger.find(i.to_bytes(16, "big")) is not None
        for start in range(first, first + count, 20):
            async with anyio.create_task_group() as tasks:
                for i in range(start, start + 20):
                    tasks.start_soon(record, i)

anyio.run(main)
"""


@pytest.mark.parametrize("there", [True, False])
async def test_processes_that_share_a_ledger_write_at_the_same_time_and_lose_nothing(
    path: Path, there: bool
) -> None:
    if there:
        await fill(path, 1)
    firsts = (0, 500, 1000)
    with anyio.fail_after(60):
        async with AsyncExitStack() as running:
            processes = [
                await running.enter_async_context(
                    await anyio.open_process([sys.executable, "-c", _WRITER, str(path), str(first), "800"])
                )
                for first in firsts
            ]
            for process in processes:
                assert process.stdout is not None
                await process.stdout.receive()
            for process in processes:
                assert process.stdin is not None
                await process.stdin.send(b"go\n")
            for process in processes:
                assert process.stderr is not None
                said = b"".join([part async for part in process.stderr])
                assert await process.wait() == 0, said.decode()
    async with Ledger.open(path, shared=True) as ledger:
        found = [ledger.find(i.to_bytes(16)) for i in range(1800)]
    assert all(found)
    writers = {one.text.split(" of ")[1] for one in found[1:] if one is not None}
    assert writers == {str(first) for first in firsts}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE calls SET key = x'00'",
        "UPDATE calls SET attempts = 9223372036854775807",
        "UPDATE calls SET seconds = 9e999",
        "UPDATE calls SET endpoint = CAST(x'ff' AS TEXT)",
    ],
)
async def test_rows_that_no_ledger_can_hold_are_refused(tmp_path: Path, statement: str):
    path = tmp_path / "ledger.sqlite"
    await fill(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    with pytest.raises(InputError, match=r"ledger\.sqlite"):
        async with Ledger.open(path):
            pass


async def test_a_recorded_log_probability_that_cannot_be_is_damage(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    await fill(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        tokens = msgspec.msgpack.encode([["a", float("nan"), []]])
        connection.execute("UPDATE calls SET tokens = ?", (tokens,))
        connection.commit()
    async with Ledger.open(path) as ledger:
        with pytest.raises(InputError, match=rf"{path}: .* damaged \(a response cannot be read: "):
            ledger.find((0).to_bytes(16))


async def test_a_recorded_text_that_is_not_utf_8_is_damage(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    await fill(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE calls SET text = CAST(x'ff' AS TEXT)")
        connection.commit()
    async with Ledger.open(path) as ledger:
        with pytest.raises(InputError, match=rf"{path}: .* damaged \(.*decode"):
            ledger.find((0).to_bytes(16))


async def test_a_ledger_that_can_no_longer_be_read_is_named(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    async with Ledger.open(path) as ledger:
        await ledger.record(b"k" * 16, HERE, "m", answered())
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TABLE calls")
        with pytest.raises(LedgerFailed, match=f"{path}: the call ledger cannot be read: no such table"):
            ledger.find(b"k" * 16)
