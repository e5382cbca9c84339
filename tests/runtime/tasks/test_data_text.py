"""Reading JSON Lines, JSON, CSV, TSV and text files: what is accepted, and what a bad file is told."""

import codecs
import gzip
import json
from pathlib import Path

import pytest

from transfer_prompting.runtime.tasks.data import Bad, Item, Row, Shape, read
from transfer_prompting.scenarios.errors import InputError

ROWS = [{"text": "Grün, 日本", "label": "good"}, {"text": 'She said "no"', "label": "bad"}]


def items(folder: Path, name: str, content: str | bytes, shape: Shape | None = None) -> list[Item]:
    raw = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(raw)
    return list(read(name, folder, shape))


def values(found: list[Item]) -> list[object]:
    return [dict(item.values) if isinstance(item, Row) else item for item in found]


def places(folder: Path, found: list[Item]) -> list[str]:
    return [item.place.removeprefix(f"{folder}/") for item in found]


def refused(folder: Path, name: str, content: str | bytes, shape: Shape | None = None) -> str:
    with pytest.raises(InputError) as caught:
        items(folder, name, content, shape)
    return str(caught.value).replace(f"{folder}/", "")


JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
CSV = 'text,label\n"Grün, 日本",good\n"She said ""no""",bad\n'
SEMICOLONS = 'text;label\n"Grün, 日本";good\n"She said ""no""";bad\n'
TSV = 'text\tlabel\nGrün, 日本\tgood\n"She said ""no"""\tbad\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", JSONL),
        ("rows.ndjson", JSONL.replace("\n", "\r\n\r\n")),
        ("rows.json", json.dumps(ROWS)),
        ("examples.json", json.dumps({"canary": "a text", "examples": ROWS}, indent=2)),
        ("rows.csv", CSV),
        ("windows.csv", CSV.replace("\n", "\r\n")),
        ("rows.tsv", TSV),
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
def test_every_text_format_gives_the_same_rows(tmp_path: Path, name: str, content: str, mark: bytes):
    assert values(items(tmp_path, name, mark + content.encode())) == ROWS


def test_rows_know_the_line_they_start_on(tmp_path: Path):
    assert places(tmp_path, items(tmp_path, "a.jsonl", '{"a": 1}\n\n{"a": 2}\n')) == [
        "a.jsonl:1",
        "a.jsonl:3",
    ]
    assert places(tmp_path, items(tmp_path, "a.json", '[\n  {"a": 1},\n\n  {"a": 2}\n]')) == [
        "a.json:2",
        "a.json:4",
    ]
    csv = 'a,b\n"one\ntwo",x\n\nthree,y\n'
    assert places(tmp_path, items(tmp_path, "a.csv", csv)) == ["a.csv:2", "a.csv:5"]


def test_rows_that_are_lists_get_numbered_fields(tmp_path: Path):
    assert values(items(tmp_path, "a.jsonl", '["q", "x", "A"]\n')) == [{"0": "q", "1": "x", "2": "A"}]


def test_an_object_of_rows_gives_each_row_its_key(tmp_path: Path):
    found = values(items(tmp_path, "a.json", '{"17": {"q": "x"}, "18": {"q": "y"}}'))
    assert found == [{"_key": "17", "q": "x"}, {"_key": "18", "q": "y"}]


def test_broken_json_lines_are_named_and_reading_goes_on(tmp_path: Path):
    found = items(tmp_path, "a.jsonl", '{"a": 1}\n{"a": \n17\n{"a": NaN}\n{"a": 5}\n')
    assert [type(item) for item in found] == [Row, Bad, Bad, Bad, Row]
    assert places(tmp_path, found[1:4]) == ["a.jsonl:2", "a.jsonl:3", "a.jsonl:4"]
    assert "NaN and Infinity are not JSON" in found[3].problem  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[\n{"a": 1},\n{"a" 2}\n]', "a.json:3: not valid JSON"),
        ('[\n{"a": 1}\n{"a": 2}\n]', "a.json:3: not valid JSON (expected ',' or ']')"),
        ('[\n{"a": 1},\n{"a": NaN}]', "a.json:3: not valid JSON (NaN is not JSON)"),
        ('[{"a": 1},\n', "a.json:2: not valid JSON"),
        (
            '{"a": 1}\n{"a": 2}\n',
            "a.json:2: not valid JSON (text after the end of the value; one value a line is",
        ),
        ('{"a": 1, "b": 2}', "no single list of rows in this object (keys: a, b)"),
        ("hello", "a.json:1: expected a JSON list of rows"),
        ("", "a.json:1: expected a JSON list of rows"),
    ],
)
def test_a_broken_json_file_is_refused_with_its_line(tmp_path: Path, content: str, said: str):
    assert said in refused(tmp_path, "a.json", content)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.txt"])
def test_text_in_a_wrong_encoding_is_refused_with_line_and_byte(tmp_path: Path, name: str):
    content = b'{"text": "fine"}\n' + '{"text": "caf\xe9"}\n'.encode("latin-1")
    assert refused(tmp_path, name, content).startswith(
        f"{name}:2: not UTF-8 text (byte 0xe9 at file offset 30); save the file as UTF-8"
    )


def test_utf16_is_named(tmp_path: Path):
    assert refused(tmp_path, "a.jsonl", '{"a": 1}'.encode("utf-16")) == (
        "a.jsonl:1: UTF-16 text; save the file as UTF-8"
    )


@pytest.mark.parametrize("mark", [codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE])
def test_utf32_is_named(tmp_path: Path, mark: bytes):
    name = "utf-32-le" if mark == codecs.BOM_UTF32_LE else "utf-32-be"
    assert refused(tmp_path, "a.jsonl", mark + '{"a": 1}'.encode(name)) == (
        "a.jsonl:1: UTF-32 text; save the file as UTF-8"
    )


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.txt"])
def test_utf16_without_a_byte_order_mark_is_refused(tmp_path: Path, encoding: str, name: str):
    assert refused(tmp_path, name, 'text,label\nfine,"pos"\n'.encode(encoding)) == (
        f"{name}:1: holds NUL bytes, as UTF-16 text does; save the file as UTF-8"
    )


def test_ragged_rows_of_a_delimited_file_are_bad_rows(tmp_path: Path):
    found = items(tmp_path, "a.csv", "text,label\nfine,good\none, two,bad\nalone\nfine,good\n")
    assert [type(item) for item in found] == [Row, Bad, Bad, Row]
    assert places(tmp_path, found[1:3]) == ["a.csv:3", "a.csv:4"]
    assert "3 fields where the first row has 2" in str(found[1])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('a,b\n"never closed,x\ny,z\n', "a.csv:2: not valid CSV"),
        ('a,b\n"x"y,z\n', "a.csv:2: not valid CSV"),
        ("a,b,a\n1,2,3\n", "a.csv:1: the header names a more than once"),
        ("a,,b\n1,2,3\n", "a.csv:1: field 2 of the header has no name"),
    ],
)
def test_a_broken_delimited_file_is_refused_with_its_line(tmp_path: Path, content: str, said: str):
    assert said in refused(tmp_path, "a.csv", content)


def test_a_file_without_a_header_has_numbered_fields_where_its_names_are_known(tmp_path: Path):
    shape = Shape(frozenset({"question", "answer"}))
    assert values(items(tmp_path, "a.csv", "1+1?,2\n2+2?,4\n", shape)) == [
        {"0": "1+1?", "1": "2"},
        {"0": "2+2?", "1": "4"},
    ]
    assert values(items(tmp_path, "b.csv", "question,answer\n1+1?,2\n", shape)) == [
        {"question": "1+1?", "answer": "2"}
    ]


def test_a_text_file_gives_lines_or_blocks_of_lines(tmp_path: Path):
    assert values(items(tmp_path, "a.txt", "one\t1\r\n\ntwo\t0")) == [{"line": "one\t1"}, {"line": "two\t0"}]
    found = items(tmp_path, "b.txt", "\na\nx\n\nb\ny\n\n", Shape(block=3))
    assert values(found) == [{"lines": ["", "a", "x"]}, {"lines": ["", "b", "y"]}]
    assert places(tmp_path, found) == ["b.txt:1", "b.txt:4"]
    short = items(tmp_path, "c.txt", "\na\nx\n\nb\n", Shape(block=3))
    assert isinstance(short[1], Bad)
    assert places(tmp_path, short[1:]) == ["c.txt:4"]


def test_an_older_encoding_is_tried_only_for_lines_that_are_not_utf8(tmp_path: Path):
    content = "Grün@a\n".encode() + "Grün@b\n".encode("latin-1")
    found = items(tmp_path, "a.txt", content, Shape(encoding="latin-1"))
    assert values(found) == [{"line": "Grün@a"}, {"line": "Grün@b"}]


@pytest.mark.parametrize(
    "content",
    [
        CSV.replace('"Grün, 日本",', '"Grün, 日本";')
        .replace("text,", "text;")
        .replace('""no""",', '""no""";'),
        "sep=;\n" + CSV.replace('日本",', '日本";').replace("text,", "text;").replace('no""",', 'no""";'),
        TSV,
        CSV.replace("text,", ",text,").replace('"Grün', '0,"Grün').replace('"She', '1,"She'),
        CSV.replace("\n", "\n,\n") + " , \n\n",
        CSV.replace("label", "label,,").replace("good", "good,,").replace(",bad", ",bad,, "),
    ],
    ids=["semicolons", "a line sep=", "tabs", "an index of pandas", "empty rows", "empty fields behind"],
)
def test_a_table_is_read_as_programs_write_it(tmp_path: Path, content: str):
    assert values(items(tmp_path, "rows.csv", content)) == ROWS


def test_a_field_may_be_as_long_as_a_book(tmp_path: Path):
    (found,) = values(items(tmp_path, "rows.csv", "text,label\n" + "x" * 300_000 + ",good\n"))
    assert found == {"text": "x" * 300_000, "label": "good"}


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv.gz", CSV), ("a.jsonl.gz", JSONL), ("a.json.gz", json.dumps(ROWS))]
)
def test_compressed_files_are_read_like_others(tmp_path: Path, name: str, content: str):
    assert values(items(tmp_path, name, gzip.compress(content.encode()))) == ROWS


def test_a_damaged_compressed_file_is_refused_by_name(tmp_path: Path):
    assert refused(tmp_path, "a.csv.gz", b"text,label\n").startswith("a.csv.gz: cannot be read")
    assert refused(tmp_path, "b.csv.gz", gzip.compress(CSV.encode())[:-12]).startswith(
        "b.csv.gz: cannot be read"
    )


@pytest.mark.parametrize(
    "content",
    [
        {"text": {"0": "a", "1": "b"}, "label": {"0": "x", "1": "y"}},
        {"text": ["a", "b"], "label": ["x", "y"]},
        {"columns": ["text", "label"], "index": [0, 1], "data": [["a", "x"], ["b", "y"]]},
    ],
    ids=["pandas", "lists", "pandas split"],
)
def test_a_json_file_by_columns_gives_rows(tmp_path: Path, content: object):
    assert values(items(tmp_path, "a.json", json.dumps(content))) == [
        {"text": "a", "label": "x"},
        {"text": "b", "label": "y"},
    ]


def test_json_too_deep_to_read_is_refused_in_words(tmp_path: Path):
    assert "a.json:1: not valid JSON" in refused(tmp_path, "a.json", "[" * 200_000)
    (found,) = items(tmp_path, "a.jsonl", "[" * 200_000)
    assert isinstance(found, Bad)


def test_a_windows_encoding_is_recognised(tmp_path: Path):
    said = refused(tmp_path, "a.csv", "text,label\nCafé à la carte,good\n".encode("cp1252"))
    assert "save the file as UTF-8 (as Windows-1252 it reads 'Café à la carte" in said


def test_half_a_surrogate_pair_makes_a_row_of_json_a_bad_row_as_in_json_lines(tmp_path: Path):
    found = items(tmp_path, "a.json", '[{"a": "\\ud800"}, {"a": "\\ud83d\\ude00"}]')
    assert isinstance(found[0], Bad)
    assert values(found[1:]) == [{"a": "\U0001f600"}]
    assert "a.json:1: not valid JSON (half a" in refused(tmp_path, "a.json", '{"\\ud800": 1}')


def test_columns_whose_rows_do_not_fit_are_no_table(tmp_path: Path):
    assert "no single list of rows" in refused(
        tmp_path, "a.json", '{"columns": ["a"], "index": [], "data": [1]}'
    )


def test_a_carriage_return_within_a_line_of_csv_is_refused_with_its_line(tmp_path: Path):
    assert "a.csv:1: not valid CSV" in refused(tmp_path, "a.csv", "text\rlabel,b\n1,2\n")
