"""Presets over real data: every slice loads whole, and no field that tells the answer is shown."""

import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from transfer_prompting.runtime.tasks.data import Row, read
from transfer_prompting.runtime.tasks.example import LETTERS, Example
from transfer_prompting.runtime.tasks.load import LoadedTask, load_task
from transfer_prompting.runtime.tasks.mapping import Drop, Raw, Unfit, at, text
from transfer_prompting.runtime.tasks.presets import Preset, find_preset, presets
from transfer_prompting.runtime.tasks.split import parts
from transfer_prompting.scenarios.errors import InputError
from transfer_prompting.scenarios.tasks import TaskSettings

SLICES = Path(os.environ.get("TPROMPT_TEST_DATA") or Path(__file__).parents[4] / "shared/data")
OTHER_NAMES = {"evoprompt_sst2": "sst2", "evoprompt_agnews": "ag_news"}

needs_slices = pytest.mark.skipif(
    not (SLICES / "SOURCES.md").is_file(),
    reason="no data slices: set TPROMPT_TEST_DATA to a folder with SOURCES.md",
)


def slices() -> list[tuple[str, str, int, float | None]]:
    """Set, split, rows and majority share of every slice, as SOURCES.md tells them."""
    if not (SLICES / "SOURCES.md").is_file():
        return [("none", "none", 0, None)]
    table = (SLICES / "SOURCES.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (\w+)/(\w+) \| (\d+) \(\d+\) \| \S+ \| (\S+) \|", table, re.MULTILINE)
    return [
        (name, part, int(count), None if share == "-" else float(share)) for name, part, count, share in cells
    ]


def preset_for(name: str) -> Preset:
    return find_preset("mmlu" if name.startswith("mmlu_") else OTHER_NAMES.get(name, name))


def loaded(preset: str, data: str, folder: Path, **more: object) -> LoadedTask:
    spec = TaskSettings.model_validate({"data": data, "preset": preset, "few_labels": 0, **more})
    return load_task("t", spec, folder=folder, seed=1, seed_prompt="not used")


def examples(task: LoadedTask) -> list[Example]:
    return [row for _, members in parts(task.splits) for row in members]


def shown(raw: Raw) -> str:
    return "\n".join([raw.context, raw.question])


@needs_slices
@pytest.mark.parametrize(("name", "part", "count", "share"), slices())
def test_every_slice_loads_whole_with_its_majority_share(
    name: str, part: str, count: int, share: float | None
):
    preset = preset_for(name)
    task = loaded(preset.name, f"{name}/{part}.jsonl", SLICES)
    found = examples(task)
    assert len(found) == count
    assert task.dropped == {}
    assert task.task.answers.kind == preset.kind
    if share is not None:
        commonest = max(Counter(row.gold for row in found).values())
        assert commonest / count == pytest.approx(share, abs=0.0006)


@needs_slices
@pytest.mark.parametrize(("name", "part", "count", "share"), slices())
def test_every_gold_answer_is_allowed_and_no_question_is_left_with_its_options(
    name: str, part: str, count: int, share: float | None
):
    task = loaded(preset_for(name).name, f"{name}/{part}.jsonl", SLICES)
    for row in examples(task):
        allowed = task.task.answers.allowed(row.asked())
        assert row.gold in allowed or not allowed
        assert task.task.answers.strict(row.gold, row.asked()) == row.gold
        for leftover in (
            "Answer format:",
            "Options:",
            "Answer1:",
            "Solution1:",
            "the correct answer is",
            "####",
        ):
            assert leftover not in row.question
        for choice in row.choices:
            assert choice == choice.strip() != ""
            assert not re.search(r"\b(?:Answer|Solution)\d:|\n\(?[A-Z]\)", choice)


@needs_slices
@pytest.mark.parametrize(("name", "part", "count", "share"), slices())
def test_no_field_that_tells_the_answer_is_shown(name: str, part: str, count: int, share: float | None):
    preset = preset_for(name)
    for row in read(f"{name}/{part}.jsonl", SLICES, preset.shape):
        assert isinstance(row, Row)
        raw = preset.read(row.values)
        assert isinstance(raw, Raw)
        for path in preset.layout(row.values).leaks:
            leak = text(at(row.values, path), path)
            assert len(leak) < 8 or leak not in shown(raw), path


@needs_slices
def test_logiqa_options_follow_their_printed_letters():
    rows = [
        row for row in examples(loaded("logiqa", "logiqa/test.jsonl", SLICES)) if "two valves" in row.question
    ]
    (valves,) = rows
    assert valves.choices[LETTERS.index(valves.gold)] == "No.2 valve and No.3 valve."


def test_original_files_load_as_they_are(tmp_path: Path):
    blocks = [f"\nb\nPassage {i}.\nQuestion {i}?\nA.w{i}\nB.x{i}\nC.y{i}\nD.z{i}\n" for i in range(6)]
    (tmp_path / "Eval.txt").write_text("".join(blocks), encoding="utf-8")
    (tmp_path / "law_test.csv").write_text("".join(f"Q{i}?,w,x,y,z,C\n" for i in range(6)), encoding="utf-8")
    (tmp_path / "Sentences.txt").write_bytes(
        "".join(f"Pörssi {i} .@neutral\n" for i in range(6)).encode("latin-1")
    )
    (tmp_path / "train.csv").write_text(
        "".join(f'"{i % 4 + 1}","Title {i}","Text"\n' for i in range(8)), encoding="utf-8"
    )
    bbh = {
        "canary": "…",
        "examples": [{"input": f"not True and {i} is", "target": "False"} for i in range(6)],
    }
    (tmp_path / "boolean.json").write_text(json.dumps(bbh), encoding="utf-8")
    pqal = {str(i): {"QUESTION": f"Q{i}?", "CONTEXTS": ["One."], "final_decision": "no"} for i in range(6)}
    (tmp_path / "ori_pqal.json").write_text(json.dumps(pqal), encoding="utf-8")
    first = examples(loaded("logiqa", "Eval.txt", tmp_path))[0]
    number = first.question[9]
    assert (first.context, first.gold, first.choices[1]) == (f"Passage {number}.", "B", f"x{number}")
    assert {row.gold for row in examples(loaded("mmlu", "law_test.csv", tmp_path))} == {"C"}
    assert examples(loaded("financial_phrasebank", "Sentences.txt", tmp_path))[0].question.startswith(
        "Pörssi"
    )
    assert len(examples(loaded("ag_news", "train.csv", tmp_path))) == 8
    assert len(examples(loaded("bbh_boolean_expressions", "boolean.json", tmp_path))) == 6
    assert {row.id for row in examples(loaded("pubmedqa", "ori_pqal.json", tmp_path))} == {
        str(i) for i in range(6)
    }


def test_the_kind_and_labels_of_a_preset_may_be_overridden(tmp_path: Path):
    rows = [{"index": str(i), "text": f"Clause {i}.", "answer": ("Yes", "No")[i % 2]} for i in range(12)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = loaded("legalbench", "rows.jsonl", tmp_path)
    assert found.task.answers.allowed(found.splits.test[0].asked()) == ("No", "Yes")
    assert {row.gold for row in examples(loaded("legalbench", "rows.jsonl", tmp_path, kind="yes_no"))} == {
        "yes",
        "no",
    }


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_every_preset_tells_what_it_is(preset: Preset):
    assert find_preset(preset.name) is preset
    for told in (
        preset.title,
        preset.domain,
        preset.source,
        preset.licence,
        preset.description,
        preset.prompt,
    ):
        assert told == told.strip() != ""
    assert preset.layouts
    assert TaskSettings.model_validate({"data": "x.jsonl", "preset": preset.name}).preset == preset.name


def test_the_sets_of_the_documented_list_have_presets():
    names = {preset.name for preset in presets()}
    wanted = (
        "logiqa openbookqa arc_easy arc_challenge commonsenseqa boolq piqa cosmosqa medqa medmcqa pubmedqa"
    )
    assert {
        *wanted.split(),
        "legalbench_hearsay",
        "sst2",
        "ag_news",
        "financial_phrasebank",
        "fineval",
    } <= names
    assert {
        f"bbh_{task}" for task in ("navigate", "hyperbaton", "sports_understanding", "boolean_expressions")
    } <= names
    assert sum(name.startswith("lawbench_") for name in names) == 8


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(InputError, match="no preset 'logic_qa'; did you mean 'logiqa'"):
        find_preset("logic_qa")


@pytest.mark.parametrize(
    ("preset", "row", "said"),
    [
        (
            "medmcqa",
            {"question": "Q", "cop": 0, "opa": "a", "opb": "b", "opc": "c", "opd": "d"},
            "cop is '0'",
        ),
        (
            "medmcqa_hub",
            {"question": "Q", "cop": 4, "opa": "a", "opb": "b", "opc": "c", "opd": "d"},
            "cop is '4'",
        ),
        (
            "piqa",
            {"goal": "Q", "sol1": "a", "sol2": "b", "label": -1},
            "rows without a gold answer cannot be used",
        ),
        (
            "commonsenseqa",
            {"question": "Q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": ""},
            "rows without a gold answer",
        ),
        ("mmlu", {"text": "Q"}, "not a layout of preset mmlu: the row has text; known are original: 0, 1"),
        ("openbookqa", {"instruction": "Q?", "output": "", "answer": "answer1"}, "instruction is not"),
        ("bbh_hyperbaton", {"input": "Q", "target": "(A)"}, "does not end with lettered options"),
        ("sst2", {"line": "no label here"}, "the line holds no '\\t' before its label"),
    ],
)
def test_a_row_that_does_not_fit_says_why(preset: str, row: Mapping[str, object], said: str):
    with pytest.raises(Unfit) as caught:
        find_preset(preset).read(row)
    assert said in str(caught.value)


def test_a_sentence_term_that_is_no_number_is_dropped_with_its_reason():
    row = {"instruction": "…", "question": "事实:…", "answer": "刑期:无期徒刑"}
    assert find_preset("lawbench_3_4").read(row) == Drop("the answer is no number of 个月")
