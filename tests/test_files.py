"""Output folders and files that cannot be used: one sentence each, no traceback, nothing half-written."""

import errno
import json
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import anyio
import pytest

from transfer_prompting.agents.team import Team
from transfer_prompting.cli.failures import explain
from transfer_prompting.cli.options import Exit
from transfer_prompting.runtime.errors import WriteFailed
from transfer_prompting.runtime.record.files import make_folder, read_lines, replace_file
from transfer_prompting.runtime.record.history import open_history
from transfer_prompting.runtime.record.results import in_folder, load_results
from transfer_prompting.runtime.report.page import write_page
from transfer_prompting.runtime.report.runs_page import write_runs_page
from transfer_prompting.scenarios import InputError

from support.chat_server import Body
from support.commands import outputs, started, told, tprompt
from support.finished import write_run
from support.runs import simulated

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")


def as_file(folder: Path) -> None:
    folder.write_text("a file")


def below_file(folder: Path) -> None:
    folder.parent.rmdir()
    folder.parent.write_text("a file")


@pytest.mark.parametrize("make", [as_file, below_file])
async def test_an_output_folder_that_cannot_be_made_ends_with_2(tmp_path: Path, make: Callable[[Path], None]):
    out = tmp_path / "runs" / "out"
    out.parent.mkdir()
    make(out)
    async with simulated(tmp_path) as (_, _, server):
        done = await tprompt("run", tmp_path / "scenario.yaml", "--out", out)
        assert server.count == 0
    assert "cannot be the output folder" in told(done, 2)


@pytest.mark.parametrize("name", ["x" * 300, "nul\0"])
def test_a_name_that_no_folder_can_have_is_an_input_error(tmp_path: Path, name: str):
    with pytest.raises(InputError, match="choose another --out"):
        make_folder(tmp_path / name)


@needs_full
def test_a_file_that_cannot_be_written_keeps_the_earlier_one_and_leaves_nothing_else(tmp_path: Path):
    path = tmp_path / "report.html"
    replace_file(path, b"earlier")
    (tmp_path / "report.html.tmp").symlink_to(FULL)
    with pytest.raises(WriteFailed, match="No space left on device"):
        replace_file(path, b"later")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert path.read_bytes() == b"earlier"


def test_a_last_line_without_its_end_is_left_out(tmp_path: Path):
    (tmp_path / "lines").write_bytes(b"one\ntwo\nthr")
    assert list(read_lines(tmp_path / "lines")) == [(1, b"one\n"), (2, b"two\n")]


def latin(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"a", b"\xff"))


def deep(path: Path) -> None:
    path.write_bytes(b"[" * 100_000 + b"\n")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def null(path: Path) -> None:
    path.write_bytes(b"null\n")


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("damage", [latin, deep, folder, null, fifo, device])
@pytest.mark.parametrize("name", ["results.json", "history.jsonl", "responses.jsonl"])
def test_a_damaged_file_of_a_run_is_named(tmp_path: Path, name: str, damage: Callable[[Path], None]):
    run = tmp_path / "run"
    write_run(run, test=8, page=False)
    damage(run / name)
    with pytest.raises(InputError, match=name):
        write_page(run)
    if name == "results.json":
        with pytest.raises(InputError, match=name):
            load_results(run / name)


@pytest.mark.parametrize("damage", [latin, deep, folder, null, fifo, device])
def test_a_history_that_is_none_is_refused_before_a_new_one_is_begun(
    tmp_path: Path, damage: Callable[[Path], None]
):
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"a\n")
    damage(path)
    before = path.lstat()
    with pytest.raises(InputError, match=r"history\.jsonl"), open_history(path):
        pass
    assert path.lstat() == before
    assert [file.name for file in tmp_path.iterdir()] == ["history.jsonl"]


def without_line(path: Path) -> None:
    first, _, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first, *rest]))


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200] + b"\n")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("history.jsonl", latin),
        ("history.jsonl", without_line),
        ("responses.jsonl", cut_in_half),
        ("results.json", cut_in_half),
        ("scenario.yaml", fifo),
        ("ledger.sqlite", fifo),
        ("batches.jsonl", fifo),
        ("log.jsonl", fifo),
    ],
)
async def test_a_resumed_run_names_a_damaged_file_and_leaves_it_as_it_is(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
):
    out = tmp_path / "out"
    write_run(out, test=8, page=False)
    async with simulated(tmp_path) as (scenario, _, server):
        damage(out / name)
        before = (out / name).read_bytes() if (out / name).is_file() else None
        with anyio.fail_after(60), pytest.raises((InputError, WriteFailed), match=re.escape(name)):
            async with Team(scenario, out=out):
                pass
        assert server.count == 0
    assert before is None or (out / name).read_bytes() == before


async def test_files_of_a_run_that_are_none_do_not_stop_the_other_commands(tmp_path: Path):
    run = tmp_path / "runs" / "one"
    write_run(run, test=8)
    (tmp_path / "runs" / "two").mkdir()
    fifo(tmp_path / "runs" / "two" / "results.json")
    fifo(run / "history.jsonl")
    fifo(tmp_path / "runs" / "index.html.tmp")
    with pytest.raises(WriteFailed, match=r"index\.html"):
        write_runs_page(tmp_path / "runs")
    (tmp_path / "runs" / "index.html.tmp").unlink(missing_ok=True)
    assert "a FIFO, not a regular file" in write_runs_page(tmp_path / "runs").read_text()
    with pytest.raises(InputError, match=r"results\.json: cannot be read: a FIFO"):
        in_folder(tmp_path / "runs" / "two")


def damaged(statement: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute(statement)
        connection.commit()
        connection.close()

    return damage


STATEMENTS = {
    "its table failures lacks": "DROP TABLE failures",
    "its table calls lacks seconds": "ALTER TABLE calls DROP COLUMN seconds",
    "not of its column's type": "UPDATE calls SET prompt_tokens = 'abc'",
    "a value in its table calls": "UPDATE calls SET attempts = -5",
    "a response": "UPDATE calls SET tokens = x'ff00ff'",
    "Could not decode": "UPDATE calls SET text = cast(x'fffe' AS TEXT)",
}


async def test_a_ledger_whose_rows_are_not_those_of_calls_is_refused(tmp_path: Path):
    paid = tmp_path / "paid"
    paid.mkdir()
    async with simulated(paid):
        done = await tprompt("run", "scenario.yaml", "--out", "out", "-q", cwd=paid)
        assert done.returncode in (0, 3), done.stderr
        for i, (said, statement) in enumerate(STATEMENTS.items()):
            copy = tmp_path / str(i)
            shutil.copytree(paid, copy)
            damaged(statement)(copy / "out" / "ledger.sqlite")
            done = await tprompt("run", "scenario.yaml", "--out", "out", "-q", cwd=copy)
            assert said in told(done, 2)


@pytest.mark.parametrize("lost", ["ledger.sqlite", "."])
async def test_a_run_whose_ledger_or_folder_is_removed_says_so_and_ends_with_1(tmp_path: Path, lost: str):
    asked, go_on = anyio.Event(), anyio.Event()
    async with simulated(tmp_path) as (_, world, server):

        async def behaviour(body: Body) -> str:
            if server.count > 60:
                asked.set()
                await go_on.wait()
            return world(body)

        server.behaviour = behaviour
        with anyio.fail_after(90):
            process = await started("run", "scenario.yaml", "--out", "out", "-q", cwd=tmp_path, heard=True)
            await asked.wait()
            path = tmp_path / "out" / lost
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            go_on.set()
            _, err = await outputs(process)
            await process.aclose()
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "ledger.sqlite: the call ledger cannot be written" in " ".join(err.split())


def test_an_error_that_nobody_expected_is_one_sentence_and_its_details_are_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    error = ExceptionGroup("several", [ZeroDivisionError("by zero")])
    assert explain(error, tmp_path) == Exit.FAILED
    said = capsys.readouterr().err
    assert said.startswith("unexpected error: ZeroDivisionError: by zero. Details are in")
    assert "Traceback" not in said
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert line["event"] == "UnexpectedError"
    assert "ZeroDivisionError" in line["exception"]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENAMETOOLONG, "File name too long", "x.yaml"), 2, "x.yaml: File name too long"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "standard output cannot be written: No space"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), 2, "the working directory is gone"),
    ],
)
def test_an_error_about_a_path_or_stdout_is_no_unexpected_one(
    capsys: pytest.CaptureFixture[str], error: OSError, code: int, said: str
):
    assert explain(error) == code
    assert capsys.readouterr().err.startswith(said)


def test_a_run_whose_summary_cannot_be_printed_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert explain(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), tmp_path) == Exit.FAILED
    assert capsys.readouterr().err.startswith("standard output cannot be written")


async def test_a_scenario_that_cannot_be_written_or_found_is_bad_input(tmp_path: Path):
    write = ("init", "--endpoint", "vllm", "--force")
    fifo(tmp_path / "fifo.yaml")
    assert "fifo.yaml: " in told(await tprompt(*write, "fifo.yaml", cwd=tmp_path), 2)
    assert "Not a directory" in told(await tprompt(*write, tmp_path / "data/tickets.jsonl/x.yaml"), 2)
    assert "File name too long" in told(await tprompt("validate", "x" * 300), 2)


ALLOWED = """
import resource
from transfer_prompting.cli.run import run_event_loop

async def soft() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (40, most))
print(run_event_loop(soft) == most if 0 <= most < 10_240 else run_event_loop(soft) == 10_240)
"""


@pytest.mark.skipif(find_spec("resource") is None, reason="the system has no limits on open files")
async def test_a_command_may_open_as_many_files_as_its_user_may_allow():
    done = await anyio.run_process([sys.executable, "-c", ALLOWED])
    assert done.stdout.decode().strip() == "True"


@pytest.mark.parametrize("folder", [None, Path("out")])
def test_too_many_open_files_are_named_with_what_allows_more(
    folder: Path | None, capsys: pytest.CaptureFixture[str]
):
    error = OSError(errno.EMFILE, os.strerror(errno.EMFILE), "a file")
    assert explain(ExceptionGroup("several", [error]), folder) == Exit.FAILED
    assert "too many open files; allow more (`ulimit -n`)" in " ".join(capsys.readouterr().err.split())
