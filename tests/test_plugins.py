"""Parts of a user's own that a scenario names: by dotted name where code is allowed, and by entry point."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import transfer_prompting as tp
from transfer_prompting.agents.reference.strategies import STRATEGIES, load_strategy
from transfer_prompting.runtime.evaluation.own_metrics import load
from transfer_prompting.scenarios.stages import KNOWN_STRATEGIES

from support.clients import FunctionClient

PARTS = """
import transfer_prompting as tp

async def brief(context):
    return [tp.Prompt("Think of the people.", origin="brief")]

async def fails(context):
    return [][1]

def words(context):
    return ["no prompt"]

def short(rows):
    return 1.0

class Bare:
    states_confidence = False
    def request(self, hint, *, confidence):
        return "The label alone."
    def strict(self, text, *, confidence):
        return tp.Lines(text.removeprefix("= ")) if text.startswith("= ") else None
    def lenient(self, text):
        return 7 if text == "odd" else None

class Mute:
    states_confidence = False

def lines(source):
    for number, line in enumerate(source.read_text().splitlines()):
        text, _, label = line.strip().rpartition(";")
        yield {"text": text, "label": label} if text else line

def broken(source):
    yield {"text": "one", "label": "a"}
    1 / 0
"""
KINDS = {"strategies": "brief", "metrics": "short", "formats": "Bare", "readers": "lines"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = set(sys.modules)
    (tmp_path / "plug_parts.py").write_text(PARTS, encoding="utf-8")
    rows = [f"This is text {i};{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "rows.txt").write_text("\n".join(rows), encoding="utf-8")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("plug_"):
            del sys.modules[name]


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that offers its parts as entry points, as an installer leaves it."""
    info = folder / "plug_parts-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-parts\nVersion: 1.0\n")
    groups = [f"[transfer_prompting.{group}]\n{name} = plug_parts:{name}\n" for group, name in KINDS.items()]
    (info / "entry_points.txt").write_text("\n".join(groups))
    monkeypatch.syspath_prepend(folder)
    return folder


def scenario(folder: Path, *, allow_code: bool = True, strategy: str = "ask", **task: Any) -> tp.Scenario:
    objective = task.pop("objective", {"accuracy": 1})
    data = {
        "name": "parts",
        "endpoints": {"server": {"host": "function-client"}},
        "models": {"small": {"endpoint": "server", "model": "small"}},
        "reference": {"model": "small"},
        "targets": ["small"],
        "strategy": strategy,
        "scorer": {"objective": objective},
        "tasks": {"t": {"kind": "classification", "data": "rows.txt", **task}},
        "stages": {"source": {"tasks": [], "seed_prompts": ["Decide."]}, "target": {"tasks": ["t"]}},
        "budget": {"evaluations": 40},
    }
    return tp.Scenario.build(data, folder, allow_code=allow_code)


def team(scenario: tp.Scenario) -> tp.Team:
    def reply(request: tp.ChatRequest) -> str:
        return "= b" if "people" in str(request.messages) else "= a"

    return tp.Team(scenario, clients={"server": FunctionClient(reply)})


def test_every_strategy_of_the_scenario_is_in_the_table():
    assert set(STRATEGIES) == set(KNOWN_STRATEGIES)


async def run(scenario: tp.Scenario) -> tp.Results:
    async with team(scenario) as running:
        return await running.run()


async def test_a_run_with_a_strategy_metric_format_and_reader_by_dotted_name(folder: Path):
    results = await run(
        scenario(
            folder,
            strategy="plug_parts:brief",
            reader="plug_parts:lines",
            format="plug_parts:Bare",
            objective={"accuracy": 0.5, "plug_parts:short": 0.5},
        )
    )
    best = results.targets[0].best
    assert best.scorecard.ifr == 1.0
    assert best.scorecard.judged["plug_parts:short"] == 1.0
    assert {best.prompt.text} <= {"Decide.", "Think of the people."}


async def test_a_run_with_the_entry_points_of_an_installed_package_needs_no_permission(installed: Path):
    own = {"accuracy": 0.5, "own.short": 0.5}
    found = scenario(
        installed, allow_code=False, strategy="brief", reader="lines", format="Bare", objective=own
    )
    results = await run(found)
    assert results.targets[0].best.scorecard.ifr == 1.0
    assert results.targets[0].best.scorecard.judged["own.short"] == 1.0


@pytest.mark.parametrize(
    "keys",
    [
        {"strategy": "plug_parts:brief", "reader": "plug_parts:lines"},
        {"reader": "plug_parts:lines"},
        {"rows": [{"text": "a", "label": "b"}], "data": None, "format": "plug_parts:Bare"},
    ],
)
def test_no_part_is_imported_where_code_is_not_allowed(folder: Path, keys: dict[str, Any]):
    with pytest.raises(tp.InputError, match=r"names Python code.*give --allow-code"):
        team(scenario(folder, allow_code=False, **keys)).check()
    assert "plug_parts" not in sys.modules


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"strategy": "trasfer"}, "strategy: 'trasfer' is no strategy; did you mean 'transfer'"),
        ({"format": "jsn"}, r"tasks\.t\.format\.kind: 'jsn' is no format; did you mean 'json'"),
        ({"reader": "xml"}, r"tasks\.t\.reader: 'xml' is no reader; .*transfer_prompting\.readers"),
        ({"strategy": "os:system"}, "a module of Python itself has no strategies"),
        ({"strategy": "plug_parts:gone"}, "strategy plug_parts:gone: module plug_parts has no name gone"),
        ({"strategy": "plug_parts:KINDLESS"}, "module plug_parts has no name KINDLESS"),
        ({"strategy": "plug_parts:Bare"}, "expected a Strategy, or an async function"),
        ({"reader": "plug_parts:gone"}, "reader plug_parts:gone: module plug_parts has no function gone"),
        ({"reader": "plug_parts:lines", "data": "none.txt"}, "none.txt: no such data file"),
        (
            {"reader": "plug_parts:broken"},
            r"reader plug_parts:broken: raised ZeroDivision.*plug_parts\.py:\d+",
        ),
        (
            {"reader": "plug_parts:lines", "format": "plug_parts:Mute"},
            "format plug_parts:Mute: expected an AnswerFormat.* lacks request, strict, lenient",
        ),
    ],
)
def test_a_part_that_is_wrong_is_one_message(folder: Path, keys: dict[str, Any], said: str):
    with pytest.raises(tp.InputError, match=said) as caught:
        team(scenario(folder, **keys)).check()
    assert "\n" not in str(caught.value)


def test_a_row_that_a_reader_gives_without_fields_is_named(folder: Path):
    (folder / "rows.txt").write_text("text;a\nno label\n", encoding="utf-8")
    with pytest.raises(tp.InputError, match=r"rows\.txt, row 2: expected a mapping"):
        team(scenario(folder, reader="plug_parts:lines")).check()


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("plug_parts:fails", r"strategy plug_parts:fails: raised IndexError.*plug_parts\.py:8"),
        ("plug_parts:words", r"strategy plug_parts:words: expected a list of prompts"),
    ],
)
async def test_a_strategy_that_fails_ends_the_run_with_its_line(folder: Path, strategy: str, said: str):
    with pytest.raises(tp.InputError, match=said):
        await run(scenario(folder, strategy=strategy, reader="plug_parts:lines"))


def test_a_format_that_returns_something_else_is_one_message(folder: Path):
    loaded = team(scenario(folder, reader="plug_parts:lines", format="plug_parts:Bare")).check()
    with pytest.raises(
        tp.InputError, match="format plug_parts:Bare: raised ValueError: expected None or Lines"
    ):
        loaded["t"].task.format.lenient("odd")


def test_an_entry_point_that_is_not_installed_is_named(tmp_path: Path):
    with pytest.raises(
        tp.InputError, match=r"metric gone: .*transfer_prompting\.metrics; no installed package"
    ):
        load("own.gone", tmp_path, allow_code=True)


def test_a_strategy_is_a_function_or_a_whole(folder: Path):
    found = load_strategy("plug_parts:brief", folder, allow_code=True)
    assert (found.name, found.staged) == ("plug_parts:brief", False)


async def test_the_short_way_takes_strategy_format_and_reader_by_dotted_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(folder)
    asked: list[str] = []

    async def answer(prompt: tp.Prompt, question: tp.Question) -> str:
        asked.append(prompt.text)
        return "= a"

    results = await tp.optimize(
        "Decide.",
        folder / "rows.txt",
        model=answer,
        writer={"client": FunctionClient(lambda _: ""), "model": "unasked"},
        strategy="plug_parts:brief",
        budget={"evaluations": 40},
        kind="classification",
        reader="plug_parts:lines",
        format="plug_parts:Bare",
    )
    assert "Think of the people." in asked
    assert results.targets[0].baseline.scorecard.ifr == 1
    evaluated = await tp.evaluate(
        "Decide.",
        folder / "rows.txt",
        model=answer,
        kind="classification",
        reader="plug_parts:lines",
        format="plug_parts:Bare",
    )
    assert (evaluated.scorecard.n, evaluated.scorecard.ifr) == (40, 1)
