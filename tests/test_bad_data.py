"""Bad data through the command line: exit code 2, and a message with file and line."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from support.commands import told, tprompt

ROWS = [{"text": f"Row {i} says so", "label": ("good", "bad")[i % 2]} for i in range(12)]
CHOICES = [{"question": f"Row {i}?", "choices": ["x", "y"], "answer": "AB"[i % 2]} for i in range(12)]
CSV = "text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in ROWS)
LABELS = {"kind": "classification", "labels": ["good", "bad"]}
IDS = {**LABELS, "fields": {"question": "text", "answer": "label", "id": "id"}}
CHOICE = {"kind": "multiple_choice"}


def lines(rows: Sequence[object], fifth: str | None = None) -> str:
    """The rows as JSON Lines; `fifth` takes the place of line 5."""
    found = [json.dumps(row) for row in rows]
    return "\n".join([*found[:4], found[4] if fifth is None else fifth, *found[5:]])


BAD = {
    "a wrong encoding": (
        "rows.jsonl",
        lines(ROWS, '{"text": "café", "label": "good"}').encode("latin-1"),
        LABELS,
        "rows.jsonl:5: not UTF-8 text (byte 0xe9",
    ),
    "a wrong encoding in a table": (
        "rows.csv",
        CSV.replace("Row 4", "Café").encode("latin-1"),
        LABELS,
        "rows.csv:6: not UTF-8 text (byte 0xe9",
    ),
    "a UTF-16 mark": ("rows.jsonl", lines(ROWS).encode("utf-16"), LABELS, "rows.jsonl:1: UTF-16 text"),
    "a ragged table": (
        "rows.csv",
        CSV.replace("Row 4 says so,", "Row 4, says so,").encode(),
        LABELS,
        "rows.csv:6: 3 fields where the first row has 2",
    ),
    "a broken line of JSON": (
        "rows.jsonl",
        lines(ROWS, '{"text": "cut').encode(),
        LABELS,
        "rows.jsonl:5: not valid JSON",
    ),
    "a broken JSON file": (
        "rows.json",
        json.dumps(ROWS, indent=0).replace('"label": "good"', '"label" "good"', 1).encode(),
        LABELS,
        "rows.json:4: not valid JSON",
    ),
    "a label that is none": (
        "rows.jsonl",
        lines(ROWS, '{"text": "Row", "label": "fine"}').encode(),
        LABELS,
        "rows.jsonl:5: label 'fine' is not among the labels (good, bad)",
    ),
    "an answer among no choices": (
        "rows.jsonl",
        lines(CHOICES, '{"question": "Row?", "choices": ["x", "y"], "answer": "E"}').encode(),
        CHOICE,
        "rows.jsonl:5: answer 'E' is none of the 2 choices",
    ),
    "NaN": (
        "rows.jsonl",
        lines(ROWS, '{"text": NaN, "label": "good"}').encode(),
        LABELS,
        "rows.jsonl:5: not valid JSON",
    ),
    "NaN as a label": (
        "rows.csv",
        CSV.replace("Row 4 says so,good", "Row 4 says so,nan").encode(),
        LABELS,
        "rows.csv:6: the answer is NaN",
    ),
    "an empty text": (
        "rows.jsonl",
        lines(ROWS, '{"text": " ", "label": "good"}').encode(),
        LABELS,
        "rows.jsonl:5: text is empty",
    ),
    "ids that stand twice": (
        "rows.jsonl",
        lines([{**row, "id": i % 11} for i, row in enumerate(ROWS)]).encode(),
        IDS,
        "rows.jsonl:12: id '0' is also that of",
    ),
    "a field that is missing": (
        "rows.jsonl",
        lines(ROWS, '{"txt": "Row", "label": "good"}').encode(),
        LABELS,
        "rows.jsonl:5: no field 'text'; the row has txt, label",
    ),
}


def written(folder: Path, name: str, content: bytes, task: Mapping[str, object]) -> Path:
    """A scenario with one task over one data file."""
    (folder / name).write_bytes(content)
    data = {
        "name": "bad-data",
        "endpoints": {"server": {"base_url": "http://127.0.0.1:9/v1"}},
        "models": {"small": {"endpoint": "server", "model": "small-1"}},
        "reference": {"model": "small"},
        "targets": ["small"],
        "tasks": {"rows": {"data": name, "few_labels": 0, **task}},
        "stages": {
            "source": {"tasks": ["rows"], "seed_prompts": ["Decide."]},
            "target": {"tasks": ["rows"]},
        },
    }
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


@pytest.mark.parametrize("case", BAD)
async def test_bad_data_ends_with_2_and_names_file_and_line(tmp_path: Path, case: str):
    name, content, task, message = BAD[case]
    done = await tprompt("validate", written(tmp_path, name, content, task))
    assert f"{tmp_path}/{message}" in told(done, 2)


@pytest.mark.parametrize(("name", "content"), [("rows.jsonl", lines(ROWS)), ("rows.csv", CSV)])
async def test_a_utf8_byte_order_mark_is_no_fault(tmp_path: Path, name: str, content: str):
    done = await tprompt("validate", written(tmp_path, name, b"\xef\xbb\xbf" + content.encode(), LABELS))
    assert done.returncode == 0, done.stderr
    assert "bad-data: valid" in done.stdout
