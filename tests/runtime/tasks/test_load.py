"""Loading a task: from a scenario's settings to checked splits, and what bad data is told."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from transfer_prompting.runtime.tasks.load import LoadedTask, load_task
from transfer_prompting.runtime.tasks.split import parts
from transfer_prompting.scenarios.errors import InputError
from transfer_prompting.scenarios.tasks import TaskSettings

COUNTS = {"train": 6, "validation": 4, "test": 10}


def rows(count: int, first: int = 0) -> list[dict[str, object]]:
    return [
        {"text": f"text number {i}", "label": ("bad", "good")[i % 2]} for i in range(first, first + count)
    ]


def written(path: Path, content: Sequence[Mapping[str, object]] | str | bytes) -> Path:
    if not isinstance(content, str | bytes):
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def loaded(folder: Path, seed: int = 3, **task: object) -> LoadedTask:
    spec = TaskSettings.model_validate({"kind": "classification", "data": "rows.jsonl", **task})
    return load_task("reviews", spec, folder=folder, seed=seed, seed_prompt="Classify.")


def refused(folder: Path, **task: object) -> str:
    with pytest.raises(InputError) as caught:
        loaded(folder, 3, **task)
    return str(caught.value).replace(f"{folder}/", "")


def ids(task: LoadedTask) -> dict[str, list[str]]:
    return {part: [row.id for row in members] for part, members in parts(task.splits)}


def test_text_and_label_rows_need_no_more_than_a_kind(tmp_path: Path):
    written(tmp_path / "rows.jsonl", rows(20))
    task = loaded(tmp_path, split=COUNTS)
    assert {part: len(members) for part, members in ids(task).items()} == COUNTS
    assert task.counts == {
        "train": {"bad": 3, "good": 3},
        "validation": {"bad": 2, "good": 2},
        "test": {"bad": 5, "good": 5},
    }
    assert task.majority() == ("bad", 0.5)
    assert (task.dropped, task.warnings) == ({}, ())
    assert task.task.answers.allowed(task.splits.test[0].asked()) == ("bad", "good")
    assert (task.task.name, task.task.original) == ("reviews", "Classify.")
    row = task.splits.test[0]
    assert (row.question, row.gold) == (
        f"text number {int(row.id) - 1}",
        ("bad", "good")[(int(row.id) - 1) % 2],
    )


def test_the_rows_depend_on_the_seed_alone(tmp_path: Path):
    written(tmp_path / "rows.jsonl", rows(60))
    first, again, other = (ids(loaded(tmp_path, seed=seed, limit=30)) for seed in (3, 3, 4))
    assert first == again != other


def test_without_shuffling_the_first_rows_are_used(tmp_path: Path):
    written(tmp_path / "rows.jsonl", rows(60))
    task = loaded(tmp_path, limit=20, shuffle=False, split=COUNTS)
    assert sorted(int(one) for members in ids(task).values() for one in members) == list(range(1, 21))
    assert ids(task)["train"] == ["1", "2", "3", "4", "5", "6"]


def test_a_prompt_and_description_of_the_task_go_first(tmp_path: Path):
    written(tmp_path / "rows.jsonl", rows(20))
    task = loaded(tmp_path, prompt="Good or bad?", description="Reviews.").task
    assert (task.original, task.description) == ("Good or bad?", "Reviews.")


def test_labels_may_be_mapped_from_the_values_of_the_data(tmp_path: Path):
    written(tmp_path / "rows.jsonl", [{"text": f"t {i}", "label": i % 2} for i in range(20)])
    task = loaded(tmp_path, labels={"1": "good", "0": "bad"})
    assert task.task.answers.allowed(task.splits.test[0].asked()) == ("good", "bad")
    assert set(task.counts["test"]) == {"bad", "good"}


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.json"])
def test_other_formats_load_alike(tmp_path: Path, name: str):
    data = rows(20)
    written(tmp_path / "rows.jsonl", data)
    sign = "\t" if name == "rows.tsv" else ","
    table = "\n".join([f"text{sign}label", *(f"{row['text']}{sign}{row['label']}" for row in data)])
    written(tmp_path / name, json.dumps(data) if name == "rows.json" else table)
    assert loaded(tmp_path, data=name).splits == loaded(tmp_path).splits


BAD_ROWS = {
    "broken JSON": ('{"text": "a", "label": ', "rows.jsonl:3: not valid JSON"),
    "no object": ("17", "rows.jsonl:3: expected an object with named fields, got '17'"),
    "NaN": ('{"text": "a", "label": NaN}', "rows.jsonl:3: not valid JSON"),
    "empty text": ('{"text": "  ", "label": "good"}', "rows.jsonl:3: text is empty"),
    "empty label": ('{"text": "a", "label": ""}', "rows.jsonl:3: the answer is empty"),
    "no label": ('{"text": "a"}', "rows.jsonl:3: no field 'label'; the row has text"),
    "unknown label": (
        '{"text": "a", "label": "fine"}',
        "rows.jsonl:3: label 'fine' is not among the labels (bad, good)",
    ),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_refused_with_file_and_line(tmp_path: Path, case: str):
    line, said = BAD_ROWS[case]
    lines = [json.dumps(row) for row in rows(20)]
    written(tmp_path / "rows.jsonl", "\n".join([*lines[:2], line, *lines[2:]]))
    message = refused(tmp_path, labels=["bad", "good"])
    assert message.startswith("tasks.reviews: bad rows in the data (on_bad_row: skip leaves them out):\n")
    assert said in message


def test_bad_rows_are_reported_together_up_to_five(tmp_path: Path):
    written(tmp_path / "rows.jsonl", [*rows(4), *({"text": "", "label": "good"} for _ in range(2))])
    assert refused(tmp_path).splitlines()[1:] == [
        "rows.jsonl:5: text is empty",
        "rows.jsonl:6: text is empty",
    ]
    written(
        tmp_path / "rows.jsonl",
        [{"text": "x", "label": "x"}, *({"text": "", "label": "g"} for _ in range(9))],
    )
    assert len(refused(tmp_path).splitlines()) == 1 + 5 + 1


def test_a_bad_row_beyond_the_limit_is_found_too(tmp_path: Path):
    written(tmp_path / "rows.jsonl", [*rows(200), {"text": "", "label": "good"}])
    assert "rows.jsonl:201: text is empty" in refused(tmp_path, limit=20)


def test_ids_that_stand_twice_are_refused_with_both_lines(tmp_path: Path):
    data = [{**row, "key": f"k{i}"} for i, row in enumerate(rows(20))]
    written(tmp_path / "rows.jsonl", data)
    assert sorted(ids(loaded(tmp_path, fields={"id": "key"}))["train"])[0].startswith("k")
    written(tmp_path / "rows.jsonl", [*data, {**data[4], "text": "another"}])
    message = refused(tmp_path, fields={"id": "key"}, shuffle=False)
    assert "rows.jsonl:21: id 'k4' is also that of rows.jsonl:5; ids must differ" in message


def test_a_ragged_csv_is_refused_with_file_and_line(tmp_path: Path):
    written(tmp_path / "rows.csv", "text,label\na,good\nb, c,bad\n")
    assert "rows.csv:3: 3 fields where the first row has 2" in refused(tmp_path, data="rows.csv")


def test_an_empty_file_is_refused(tmp_path: Path):
    written(tmp_path / "rows.jsonl", "\n\n")
    assert refused(tmp_path) == "tasks.reviews.data: no rows in rows.jsonl"


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"data": "row.jsonl"}, "row.jsonl: no such data file; did you mean 'rows.jsonl'?"),
        ({"fields": {"question": "txt"}}, "rows.jsonl:1: no field 'txt'; the row has text, label"),
        ({"fields": {"question": "label"}}, "tasks.reviews.fields: 'label' holds the answer"),
        ({"kind": "multiple_choice"}, "tasks.reviews.fields.choices: none of choices, options is there"),
        ({"preset": "sst-2"}, "tasks.reviews.preset: no preset 'sst-2'; did you mean 'sst2'?"),
        (
            {"preset": "sst2", "template": "{text}"},
            "tasks.reviews.template: the preset sst2 maps the rows; remove template",
        ),
        ({"labels": ["bad", "Bad", "good"]}, "tasks.reviews.labels: 'bad' and 'Bad' cannot be distinguished"),
        ({"synonyms": {"fine": ["ok"]}}, "tasks.reviews.synonyms: 'fine' is no label"),
        ({"labels": ["bad", "good", "none"]}, "too few rows of label 'none' (0 train, 0 validation, 0 test;"),
        ({"few_labels": 10}, "few_labels asks for 10 in each split); take more rows, or set few_labels: 0"),
    ],
)
def test_wrong_settings_are_refused_with_the_key(tmp_path: Path, task: dict[str, object], said: str):
    written(tmp_path / "rows.jsonl", rows(60))
    assert said in refused(tmp_path, **task)


def test_answers_that_are_no_labels_are_refused(tmp_path: Path):
    written(tmp_path / "rows.jsonl", [{"text": f"text {i}", "label": f"answer {i}"} for i in range(60)])
    assert "the data holds 60 different answers (e.g. 'answer 0'), no set of 2 to 50 labels" in refused(
        tmp_path
    )


def test_a_pool_of_mostly_equal_rows_is_refused_with_the_cause(tmp_path: Path):
    written(
        tmp_path / "rows.jsonl", [{"text": f"text {i % 2}", "label": f"label {i % 2}"} for i in range(60)]
    )
    assert "duplicates stay in one split, which leaves" in refused(tmp_path)


def files(folder: Path, **content: Sequence[Mapping[str, object]]) -> dict[str, str]:
    for part, data in content.items():
        written(folder / f"{part}.jsonl", data)
    return {part: f"{part}.jsonl" for part in content}


def test_predefined_splits_are_kept_and_ids_tell_their_file(tmp_path: Path):
    given = files(tmp_path, train=rows(8), validation=rows(6, 100), test=rows(10, 200))
    found = ids(loaded(tmp_path, data=None, files=given))
    assert {part: len(members) for part, members in found.items()} == {
        "train": 8,
        "validation": 6,
        "test": 10,
    }
    assert set(found["test"]) == {f"test-{i}" for i in range(1, 11)}


def test_without_a_validation_file_train_is_halved_by_label(tmp_path: Path):
    given = files(tmp_path, train=rows(20), test=rows(10, 200))
    task = loaded(tmp_path, data=None, files=given)
    assert task.counts["train"] == task.counts["validation"] == {"bad": 5, "good": 5}
    assert not set(ids(task)["train"]) & set(ids(task)["validation"])


def test_counts_beside_files_cut_each_split(tmp_path: Path):
    given = files(tmp_path, train=rows(40), test=rows(30, 200))
    found = ids(loaded(tmp_path, data=None, files=given, split=COUNTS))
    assert {part: len(members) for part, members in found.items()} == COUNTS
    message = refused(tmp_path, data=None, files=given, split={**COUNTS, "test": 31})
    assert message == "tasks.reviews.split.test: 31 rows wanted, but there are 30"
    assert "give counts of rows, not shares" in refused(
        tmp_path, data=None, files=given, split={"train": 0.3}
    )


def test_a_row_in_two_predefined_splits_is_refused_with_both_lines(tmp_path: Path):
    given = files(
        tmp_path,
        train=rows(8),
        validation=rows(6, 100),
        test=[*rows(9, 200), {"text": "TEXT  number 3", "label": "good"}],
    )
    message = refused(tmp_path, data=None, files=given)
    assert "tasks.reviews.files: 1 rows are in two splits" in message
    assert "test.jsonl:10 asks the same as train.jsonl:4" in message


def test_a_nearly_equal_row_in_two_predefined_splits_is_told(tmp_path: Path):
    text = " ".join(f"word{i}" for i in range(60))
    given = files(
        tmp_path,
        train=[*rows(8), {"text": text, "label": "good"}],
        validation=rows(6, 100),
        test=[*rows(9, 200), {"text": f"{text} more", "label": "good"}],
    )
    (said,) = loaded(tmp_path, data=None, files=given).warnings
    assert said.startswith("pairs of nearly equal rows in different splits: 1, e.g. ")
    assert "train.jsonl:9" in said
    assert "test.jsonl:10" in said


def test_rows_that_a_preset_leaves_out_are_counted_by_reason(tmp_path: Path):
    data = [
        {
            "instruction": "…",
            "question": f"事实:案件{i}",
            "answer": f"罪名:{'盗窃' if i % 3 else '盗窃;诈骗'}",
        }
        for i in range(30)
    ]
    written(tmp_path / "rows.jsonl", data)
    task = loaded(tmp_path, kind=None, preset="lawbench_3_3")
    assert task.dropped == {"more than one charge": 10}
    assert sum(len(members) for members in ids(task).values()) == 20
    written(tmp_path / "rows.jsonl", data[:1])
    assert refused(tmp_path, kind=None, preset="lawbench_3_3").endswith("(1 dropped: more than one charge)")


def test_rows_given_in_code_load_as_rows_of_a_file(tmp_path: Path):
    written(tmp_path / "rows.jsonl", rows(20))
    of_file = loaded(tmp_path, split=COUNTS)
    in_code = loaded(tmp_path, split=COUNTS, data=None, rows=rows(20))
    assert in_code.splits == of_file.splits
    assert in_code.counts == of_file.counts


def test_rows_may_be_given_split_by_split(tmp_path: Path):
    given = {"train": rows(6), "validation": rows(4, 6), "test": rows(10, 10)}
    task = loaded(tmp_path, data=None, rows=given)
    assert {part: len(members) for part, members in ids(task).items()} == COUNTS
    halved = loaded(tmp_path, data=None, rows={"train": rows(8), "test": rows(10, 10)})
    assert {part: len(members) for part, members in ids(halved).items()} == {
        "train": 4,
        "validation": 4,
        "test": 10,
    }


def test_a_bad_row_given_in_code_is_named_by_its_index(tmp_path: Path):
    bad: list[dict[str, object]] = [*rows(5), {"text": "six", "label": None}]
    assert "\nrows[5]: " in refused(tmp_path, data=None, rows=bad, labels=["bad", "good"])
    assert "\nrows.test[5]: " in refused(
        tmp_path, data=None, rows={"train": rows(9, 9), "test": bad}, labels=["bad", "good"]
    )


def test_bad_rows_are_skipped_and_counted_where_the_task_says_so(tmp_path: Path):
    blank = [{"text": "Unlabelled.", "label": ""}, {"text": "", "label": "good"}]
    written(tmp_path / "rows.jsonl", [*rows(30), *blank])
    found = loaded(tmp_path, on_bad_row="skip")
    assert sum(len(part) for part in (found.splits.train, found.splits.validation, found.splits.test)) == 30
    ((reason, count),) = found.dropped.items()
    assert count == 2
    assert reason.startswith("unusable, e.g. ")
    assert "rows.jsonl:31: the answer is empty" in reason


def test_rows_with_several_labels_are_loaded_as_sets(tmp_path: Path):
    several = [{"text": f"Row {i}", "label": [["b", "a"], ["a"], []][i % 3]} for i in range(30)]
    written(tmp_path / "rows.jsonl", several)
    found = loaded(tmp_path, kind="labels")
    assert found.task.answers.hint(found.splits.train[0].asked()).startswith("all that apply of: a, b")
    assert {row.gold for row in found.splits.train} == {"a, b", "a", "none"}


def test_fields_to_be_extracted_are_named_in_the_task(tmp_path: Path):
    facts = [{"text": f"Ada {i} owes {i}", "name": f"Ada {i}", "sum": i} for i in range(30)]
    written(tmp_path / "rows.jsonl", facts)
    found = loaded(tmp_path, kind="extraction", fields={"answer": ["name", "sum"]})
    row = found.splits.train[0]
    number = row.question.rpartition(" ")[2]
    assert row.gold == f'{{"name":"Ada {number}","sum":"{number}"}}'
