"""Files that others wrote: scenarios, data, and what an earlier run left in a folder."""

import gzip
import json
import sqlite3
from contextlib import closing
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import anyio
import yaml
from hypothesis import strategies as st

from transfer_prompting.runtime.errors import WriteFailed
from transfer_prompting.runtime.llm.chat import ChatResponse, TokenChoice, Unanswered, Usage
from transfer_prompting.runtime.llm.ledger.ledger import Ledger
from transfer_prompting.runtime.record.history import open_history
from transfer_prompting.runtime.record.responses import read_responses
from transfer_prompting.runtime.record.results import load_results
from transfer_prompting.runtime.tasks.data import Bad, Row, Shape, read
from transfer_prompting.runtime.tasks.load import load_task
from transfer_prompting.scenarios import InputError, Scenario, load
from transfer_prompting.scenarios.scenario import bundled
from transfer_prompting.scenarios.tasks import TaskSettings

from fuzz.mutations import Fixed
from fuzz.targets import Target
from fuzz.wire import plausible
from support.texts import replies

LONGEST_MESSAGE = 20_000


@cache
def folder() -> Path:
    """A folder for the files of cases; of this process alone, in the system's own for temporary files."""
    return Path(mkdtemp(prefix="tprompt-fuzz-"))


def refused(error: InputError) -> None:
    """A refusal says something that can be printed, and not too much of it."""
    assert str(error).strip()
    assert len(str(error)) < LONGEST_MESSAGE
    str(error).encode()


_numbers = st.sampled_from([0, -1, 1, 2, 2**31, 2**64, 10**30, 1e308, float("inf"), float("nan"), 0.5])
_names = st.sampled_from(
    ["", "small", "here", "~root", "~nobody-there/x", "x" * 300, "\x00", "/dev/null", "hf://", "a:b"]
)
_values = (
    st.none()
    | st.booleans()
    | _numbers
    | _names
    | st.text(max_size=8)
    | st.just([])
    | st.just({})
    | st.lists(_numbers | _names, max_size=3)
    | st.dictionaries(_names, _names | _numbers, max_size=2)
)
_snippets = st.sampled_from(
    ["&a ", "*a", "<<: *a\n", "- ", ": ", "{", "}", "[", "]", "!!int ", "!!binary ", "? ", "|\n", "0b_",
     "1:30", "2001-99-99", "\t", "\x00", "\ud800", "\ufeff", "# ", "'", '"', "---\n", "%YAML 9\n", "\\u",
     "[" * 200]
)  # fmt: skip


@cache
def scenarios() -> list[dict[str, Any]]:
    """The bundled scenarios as plain values."""
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in bundled().values()]


@st.composite
def scenario_values(draw: st.DrawFn) -> dict[str, Any]:
    """A bundled scenario in which some values, or the keys they have, are exchanged."""
    tree = deepcopy(draw(st.sampled_from(scenarios())))
    for _ in range(draw(st.integers(1, 3))):
        _exchange(draw, tree)
    return tree


def _exchange(draw: st.DrawFn, tree: Any) -> None:
    while True:
        places: list[Any] = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not places:
            return
        place = draw(st.sampled_from(places))
        inner = tree[place]
        if not isinstance(inner, dict | list) or not inner or not draw(st.integers(0, 3)):
            break
        tree = inner
    match draw(st.integers(0, 3)):
        case 0 if isinstance(tree, dict):
            tree[draw(_names | st.text(max_size=5))] = tree.pop(place)
        case 1:
            del tree[place]
        case _:
            tree[place] = draw(_values)


@st.composite
def scenario_texts(draw: st.DrawFn) -> str:
    """The text of a bundled scenario with some places overwritten."""
    text = yaml.safe_dump(draw(st.sampled_from(scenarios())), sort_keys=False)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(_snippets | st.text(max_size=4)) + text[at + draw(st.integers(0, 6)) :]
    return text


def scenario(content: dict[str, Any] | str | bytes) -> None:
    """A scenario is loaded, or refused with a message."""
    try:
        if isinstance(content, dict):
            found = Scenario.build(content, folder())
        else:
            raw = content.encode(errors="surrogatepass") if isinstance(content, str) else content
            path = folder() / "scenario.yaml"
            path.write_bytes(raw)
            found = load(path)
    except InputError as error:
        refused(error)
    else:
        assert Scenario.build(found.model_dump(mode="json", exclude_none=True), folder())


_cells = (
    st.none()
    | st.booleans()
    | _numbers
    | st.text(max_size=6)
    | st.sampled_from(["good", "bad", "", "\ud800", "²", "9" * 50])
)
_keys = st.sampled_from(["", "a", "text", "label", "é", "\ud800", "\x00"])
_row = st.fixed_dictionaries(
    {}, optional={"text": _cells | replies(), "label": _cells, "id": _cells, "": _cells}
)
_flat = st.lists(_cells, max_size=3) | st.dictionaries(_keys, _cells, max_size=3)
_nested = _cells | _flat | st.lists(_flat, max_size=3) | st.dictionaries(_keys, _flat, max_size=3)
_tables = (
    st.lists(_row | _nested, max_size=6)
    | st.dictionaries(
        st.sampled_from(["text", "label", "data", "columns", "index"]), _nested | st.lists(_nested)
    )
    | _nested
)


@st.composite
def data_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A name with an extension that is known, and what such a file may hold, somewhat damaged."""
    extension = draw(st.sampled_from(["jsonl", "json", "csv", "tsv", "txt", "xlsx", "parquet"]))
    rows = draw(_tables)
    if extension == "jsonl":
        text = "".join(f"{json.dumps(row)}\n" for row in (rows if isinstance(rows, list) else [rows]))
    elif extension in ("csv", "tsv"):
        cells = draw(st.lists(st.lists(_cells.map(str), max_size=4), max_size=5))
        text = "\n".join(
            (",", "\t", ";")[draw(st.integers(0, 2))].join(line) for line in [["text", "label"], *cells]
        )
    else:
        text = json.dumps(rows)
    content = text.encode(errors="surrogatepass")
    if extension in ("xlsx", "parquet"):
        content = tables()[extension]
    for _ in range(draw(st.sampled_from([0, 1, 1, 3]))):
        at = draw(st.integers(0, len(content)))
        some = draw(
            st.binary(max_size=4) | st.sampled_from([b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"[" * 2000])
        )
        content = content[:at] + some + content[at + draw(st.integers(0, 6)) :]
    if extension in ("jsonl", "json", "csv", "txt") and not draw(st.integers(0, 9)):
        return Fixed(f"rows.{extension}.gz"), gzip.compress(content, mtime=0)[: draw(st.integers(0, 400))]
    return Fixed(f"rows.{extension}"), content


@cache
def tables() -> dict[str, bytes]:
    """A sound file of each binary format; what its library cannot be imported for is empty."""
    import openpyxl
    import pyarrow
    import pyarrow.parquet

    book = openpyxl.Workbook()
    for row in (("text", "label"), ("fine", "good"), ("poor", "bad")):
        book.worksheets[0].append(row)
    with TemporaryDirectory() as temporary:
        excel, parquet = Path(temporary, "a.xlsx"), Path(temporary, "a.parquet")
        book.save(excel)
        pyarrow.parquet.write_table(
            pyarrow.table({"text": ["fine", "poor"], "label": ["good", "bad"]}), parquet
        )
        return {"xlsx": excel.read_bytes(), "parquet": parquet.read_bytes()}


def data(case: tuple[str, bytes]) -> None:
    """A data file gives rows and bad rows, or is refused; so is a task made of it."""
    name, content = case
    (folder() / name).write_bytes(content)
    try:
        for item in read(name, folder(), Shape(encoding="latin-1")):
            assert isinstance(item, Row | Bad)
            assert item.place
    except InputError as error:
        refused(error)
    settings = {
        "data": name,
        "kind": "classification",
        "labels": ["good", "bad"],
        "input": "text",
        "answer": "label",
    }
    try:
        loaded = load_task("t", task_settings(settings), folder=folder(), seed=1, seed_prompt="Decide.")
    except InputError as error:
        refused(error)
    else:
        assert loaded.splits.train


def task_settings(settings: dict[str, Any]) -> TaskSettings:
    """Settings of a task as a scenario holds them."""
    known = {name: value for name, value in settings.items() if name in TaskSettings.model_fields}
    return TaskSettings.model_validate(known)


KEYS = [bytes([number]) * 16 for number in range(4)]


@cache
def sound_ledger() -> bytes:
    """A ledger with two calls and a failure."""
    path = folder() / "sound.sqlite"

    async def fill() -> None:
        async with Ledger.open(path) as ledger:
            tokens = (TokenChoice("a", -0.5), TokenChoice("b", -1.0))
            for key in KEYS[:2]:
                response = ChatResponse(text="Answer: a", tokens=tokens, usage=Usage(5, 2), seconds=0.5)
                ledger.put(key, "http://host/v1", "m", response)
            ledger.put_failure(KEYS[2], "http://host/v1", "m", Unanswered(2, Usage(9, 9)), ValueError("x"))

    anyio.run(fill)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return path.read_bytes()


_columns = {
    "calls": "key endpoint model text finish_reason tokens prompt_tokens completion_tokens seconds attempts "
    "paid at uncounted_prompt uncounted_completion",
    "failures": "key endpoint model attempts kind message at uncounted_prompt uncounted_completion",
    "invocations": "started_at seconds",
}
_stored = (
    st.none()
    | st.sampled_from(
        [0, -1, 1, 2**31, 2**62, 2**63 - 1, 1e308, float("inf"), -0.5, "", "RateLimited", b"", b"k" * 15]
    )
    | st.binary(max_size=20)
    | st.text(max_size=5)
    | st.sampled_from(["CAST(x'ff' AS TEXT)", "zeroblob(99)", "x'919261cb7ff8000000000000'"]).map(Fixed)
)
_updates = st.lists(
    st.sampled_from(
        [Fixed(f"{table} {column}") for table, names in _columns.items() for column in names.split()]
    ).flatmap(lambda place: st.tuples(st.just(place), _stored)),
    min_size=1,
    max_size=3,
)


def ledger_values(updates: list[tuple[str, Any]]) -> None:
    """A ledger whose rows hold other values is refused, or what it replays can be."""
    path = fresh_ledger(sound_ledger())
    with closing(sqlite3.connect(path)) as connection:
        for place, value in updates:
            table, column = place.split()
            literal = isinstance(value, Fixed)
            statement = f"UPDATE OR IGNORE {table} SET {column} = {value if literal else '?'}"
            try:
                connection.execute(statement, () if literal else (value,))
            except (sqlite3.IntegrityError, OverflowError, UnicodeEncodeError):
                continue  # a value that SQLite does not take
        connection.commit()
    replay(path)


def fresh_ledger(content: bytes) -> Path:
    """A file of these bytes, without what an earlier one left beside it."""
    path = folder() / "ledger.sqlite"
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    path.write_bytes(content)
    return path


def ledger_bytes(edits: list[tuple[int, bytes]]) -> None:
    """A ledger with other bytes in it is refused, or what it replays can be."""
    content = bytearray(sound_ledger())
    for at, some in edits:
        place = at % len(content)
        content[place : place + len(some)] = some
    replay(fresh_ledger(bytes(content)))


def replay(path: Path) -> None:
    async def walk() -> None:
        async with Ledger.open(path) as ledger:
            for key in KEYS:
                response = ledger.find(key)
                if response is not None:
                    plausible(response)
                ledger.failure(key)
                spent = ledger.earlier_failures(key)
                assert spent is None or spent.attempts >= 0
            assert ledger.earlier.seconds >= 0
            assert all(paid.attempts >= 0 and paid.prompt_tokens >= 0 for paid in ledger.earlier.paid)

    try:
        anyio.run(walk)
    except InputError as error:
        refused(error)
    except WriteFailed as error:  # LedgerFailed, of a response that is read later
        assert str(error)


_lines = st.lists(
    st.builds(json.dumps, _nested)
    | st.sampled_from(
        ['{"seq": 1, "at": "2026-01-01T00:00:00Z", "event": {"type": "PromptScored", "job": 3}}',
         '{"event": {"job": -5}}',
         '{"type": "row", "id": "1"}', '{"schema": 99}', '{"schema": 1e99}', "{", '"\\ud800"', "[" * 3000]
    ),
    max_size=4,
)  # fmt: skip


def left_behind(lines: list[str]) -> None:
    """Results, responses and history of a folder are read, or refused."""
    raw = "\n".join(lines).encode(errors="surrogatepass")
    for name in ("results.json", "responses.jsonl", "history.jsonl"):
        (folder() / name).write_bytes(raw)
    try:
        load_results(folder() / "results.json")
    except InputError as error:
        refused(error)
    try:
        assert list(read_responses(folder() / "responses.jsonl")) is not None
    except InputError as error:
        refused(error)
    try:
        with open_history(folder() / "history.jsonl") as history:
            assert all(recorded.job >= 0 for recorded in history.order)
    except InputError as error:
        refused(error)


TARGETS = (
    Target("scenario values", scenario_values(), scenario, share=2, seconds=10, loose=True),
    Target("scenario texts", scenario_texts() | st.binary(max_size=60), scenario, share=1, seconds=20),
    Target("data files", data_files(), data, share=2, seconds=20),
    Target("ledger rows", _updates, ledger_values, share=0.5, fresh=0.5, seconds=20),
    Target(
        "ledger bytes",
        st.lists(st.tuples(st.integers(0, 2**20), st.binary(min_size=1, max_size=8)), min_size=1, max_size=3),
        ledger_bytes,
        share=0.5,
        seconds=20,
    ),
    Target("files of a run", _lines, left_behind, share=1),
)
