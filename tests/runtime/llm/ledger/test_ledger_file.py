"""The ledger's file: what it refuses to touch, what survives `kill -9`, and who may use it at once."""

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

from transfer_prompting.runtime.llm.ledger.ledger import Ledger
from transfer_prompting.scenarios.errors import InputError

from support.ledgers import HERE, answered, fill, foreign, holed, newer, torn


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "ledger.sqlite"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_text("name: a scenario, by mistake"), "not a call ledger, nor any SQLite"),
        (foreign, "belongs to another program"),
        (newer, "schema 99, written by a newer version"),
        (torn, "damaged"),
        (holed, "damaged"),
        (lambda path: path.write_bytes(b"SQLite format 3\x00"), "ends after 16 bytes"),
        (lambda path: path.mkdir(), "cannot be opened"),
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
        with pytest.raises(InputError, match="damaged"):
            ledger.find((0).to_bytes(16))
