"""Where data may come from: paths, globs, Parquet files, Hugging Face sets; and how much of it is kept."""

import json
import os
import random
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.tasks.data import ClassIndex, Row, expand, read, sample
from transfer_prompting.scenarios.errors import InputError


def texts(data: str | list[str], folder: Path) -> list[object]:
    return [item.values["text"] for item in read(data, folder) if isinstance(item, Row)]


def written(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_glob_reads_its_files_in_order_of_name(tmp_path: Path):
    written(tmp_path / "parts/b.jsonl", "3")
    written(tmp_path / "parts/a.jsonl", "1", "2")
    written(tmp_path / "parts/deep/c.jsonl", "4")
    assert texts("parts/*.jsonl", tmp_path) == ["1", "2", "3"]
    assert texts("parts/**/*.jsonl", tmp_path) == ["1", "2", "3", "4"]
    assert texts(["parts/deep/c.jsonl", "parts/[a]*.jsonl"], tmp_path) == ["4", "1", "2"]


def test_a_file_whose_name_looks_like_a_pattern_is_still_a_file(tmp_path: Path):
    written(tmp_path / "rows[1].jsonl", "1")
    assert texts("rows[1].jsonl", tmp_path) == ["1"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("revews.jsonl", "revews.jsonl: no such data file; did you mean 'reviews.jsonl'?"),
        ("none/reviews.jsonl", "none)"),
        ("*.csv", "*.csv: no file matches this pattern"),
        ("reviews.docx", "unknown extension '.docx'; known are .jsonl"),
        ("folder", "a folder; give its files as a pattern"),
        ("hf://", "expected hf://org/name?config=…&split=…"),
        ("hf://a/b/c", "expected hf://org/name?config=…&split=…"),
        ("hf://org/name?splt=test", "unknown option splt; known are config, split, revision"),
    ],
)
def test_a_wrong_source_is_refused_with_what_to_do(tmp_path: Path, data: str, said: str):
    written(tmp_path / "reviews.jsonl", "1")
    (tmp_path / "reviews.docx").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError) as caught:
        texts(data, tmp_path)
    assert said in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no named pipes in folders")
def test_a_pipe_or_device_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    for name in ("pipe.jsonl", "zero.jsonl"):
        with pytest.raises(InputError, match=f"{name}: neither a regular file nor a folder"):
            texts(name, tmp_path)
    with pytest.raises(InputError, match="no file matches this pattern"):
        texts("*.jsonl", tmp_path)


def test_a_pattern_over_too_many_folders_is_refused_before_it_is_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for i in range(12):
        written(tmp_path / f"{i}/rows.jsonl", str(i))
    assert len(texts("**/*.jsonl", tmp_path)) == 12
    monkeypatch.setattr("transfer_prompting.runtime.tasks.data.source._MOST_FOLDERS", 10)
    with pytest.raises(InputError, match=r"stands for more than 10 folders; narrow the pattern"):
        texts("**/*.jsonl", tmp_path)


def test_hub_addresses_are_left_for_the_library(tmp_path: Path):
    assert expand("hf://org/name?split=test", tmp_path) == ["hf://org/name?split=test"]


def test_parquet_rows_come_with_their_types_and_number(tmp_path: Path):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    rows = [
        {"text": "a", "choices": ["x", "y"], "label": 1},
        {"text": "b", "choices": ["z", "w"], "label": None},
    ]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    found = [item for item in read("rows.parquet", tmp_path) if isinstance(item, Row)]
    assert [dict(row.values) for row in found] == rows
    assert found[1].place == f"{tmp_path / 'rows.parquet'}, row 2"


def test_times_of_a_parquet_file_are_text_whatever_their_resolution(tmp_path: Path):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    since = arrow.array([1_700_000_000_000_000_001], arrow.timestamp("ns"))
    parquet.write_table(arrow.table({"text": ["a"], "since": since}), tmp_path / "rows.parquet")
    (row,) = (item for item in read("rows.parquet", tmp_path) if isinstance(item, Row))
    assert row.values["text"] == "a"
    assert str(row.values["since"]).startswith("2023-11-14 22:13:20")


def test_a_broken_parquet_file_is_refused_by_name(tmp_path: Path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    (tmp_path / "rows.parquet").write_bytes(b"this is no parquet file")
    with pytest.raises(InputError, match=r"rows\.parquet: cannot be read as Parquet"):
        texts("rows.parquet", tmp_path)


def test_a_set_saved_to_disk_is_read_and_a_split_of_it_named(tmp_path: Path):
    rows = datasets.Dataset.from_list([{"text": "a", "label": 0}, {"text": "b", "label": 1}])
    rows.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(str(tmp_path / "both"))
    assert texts("one", tmp_path) == ["a", "b"]
    assert texts("both/test", tmp_path) == ["a", "b"]
    with pytest.raises(InputError, match="holds the splits train, test; name one"):
        texts("both", tmp_path)


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "datasets", None)  # importing it fails, as where it is not installed
    with pytest.raises(InputError, match=r"pip install 'transfer-prompting\[hf\]'"):
        texts("hf://org/name?split=test", tmp_path)


def test_a_sample_is_the_same_for_the_same_seed_and_differs_for_another():
    drawn = [sample(range(1000), 10, shuffle=True, random=random.Random(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@given(st.integers(0, 30), st.integers(1, 40), st.booleans())
def test_a_sample_holds_as_many_different_items_as_it_may(count: int, limit: int, shuffle: bool):
    drawn = sample(range(count), limit, shuffle=shuffle, random=random.Random(0))
    assert len(drawn) == len(set(drawn)) == min(count, limit)
    assert sorted(sample(range(count), None, shuffle=shuffle, random=random.Random(0))) == list(range(count))
    if not shuffle:
        assert drawn == list(range(count))[:limit]


def test_every_item_is_as_likely_to_be_drawn():
    seen = Counter(
        i for seed in range(4000) for i in sample(range(8), 2, shuffle=True, random=random.Random(seed))
    )
    assert all(abs(seen[i] - 1000) < 130 for i in range(8))  # 4.7 standard deviations


def test_without_shuffling_nothing_beyond_the_limit_is_read():
    def stream() -> Iterator[int]:
        yield from (1, 2, 3)
        raise AssertionError("read too far")

    assert sample(stream(), 3, shuffle=False, random=random.Random(0)) == [1, 2, 3]


def test_a_limited_read_of_a_large_file_holds_only_the_limit_in_memory(tmp_path: Path):
    path = tmp_path / "large.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": f"{i} " + "x" * 2000}) + "\n" for i in range(10_000))
    assert path.stat().st_size > 20_000_000
    tracemalloc.start()
    try:
        drawn = sample(read("large.jsonl", tmp_path), 50, shuffle=True, random=random.Random(0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(drawn) == 50
    assert peak < 2_000_000


def test_the_first_sheet_of_an_excel_file_is_read_with_its_types(tmp_path: Path):
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    book = openpyxl.Workbook()
    for row in (["text", "label", "since"], ["a", 1, date(2024, 5, 1)], [None, None, None], ["b", 2.5, None]):
        book.active.append(row)
    book.save(tmp_path / "rows.xlsx")
    found = [item for item in read("rows.xlsx", tmp_path) if isinstance(item, Row)]
    assert [dict(row.values) for row in found] == [
        {"text": "a", "label": 1, "since": "2024-05-01T00:00:00"},
        {"text": "b", "label": 2.5, "since": None},
    ]
    assert found[1].place == f"{tmp_path / 'rows.xlsx'}:4"
    sound = (tmp_path / "rows.xlsx").read_bytes()
    within = sound.index(b"docProps/core.xml") + len("docProps/core.xml")
    for damaged in (b"no workbook", sound[:within] + b"\xff" * 9 + sound[within + 9 :], sound[:-300]):
        (tmp_path / "broken.xlsx").write_bytes(damaged)
        with pytest.raises(InputError, match=r"broken\.xlsx: cannot be read as an Excel file"):
            texts("broken.xlsx", tmp_path)


def test_classes_of_a_hugging_face_set_keep_their_names(tmp_path: Path):
    label = datasets.ClassLabel(names=["routine", "urgent"])
    features = datasets.Features({"text": datasets.Value("string"), "label": label, "tags": [label]})
    rows = {"text": ["a", "b"], "label": [1, -1], "tags": [[0, 1], []]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "set"))
    first, second = (item.values for item in read("set", tmp_path) if isinstance(item, Row))
    assert isinstance(first["label"], ClassIndex)
    assert (first["label"], first["label"].name) == (1, "urgent")
    assert second["label"] == -1
    assert [one.name for one in first["tags"]] == ["routine", "urgent"]  # pyright: ignore[reportGeneralTypeIssues, reportAttributeAccessIssue]


def test_a_hugging_face_set_that_cannot_be_built_is_refused_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    (folder / "b.jsonl").write_text('{"other": [1]}\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"hf://broken\?split=train: cannot be loaded: "):
        texts("hf://broken?split=train", tmp_path)
