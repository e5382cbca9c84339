"""The kind of task that a data file seems to hold."""

from pathlib import Path

import pytest

from transfer_prompting.runtime.tasks.guess import guess
from transfer_prompting.scenarios.errors import InputError


def test_rows_without_a_label_are_counted_and_are_no_label(tmp_path: Path):
    lines = [f"Ticket {i};{('urgent', 'routine')[i % 2]}" for i in range(20)]
    (tmp_path / "rows.csv").write_text("\n".join(["body;priority", *lines, "Late;", "Later; "]), "utf-8")
    found = guess(tmp_path / "rows.csv")
    assert (found.kind, found.question, found.answer) == ("classification", "body", "priority")
    assert (found.labels, found.blank) == (("routine", "urgent"), 2)


def test_a_table_that_begins_with_a_row_is_refused_with_what_to_do(tmp_path: Path):
    path = tmp_path / "rows.csv"
    path.write_text("I like it,positive\nDreadful,negative\nWell made,positive\n", "utf-8")
    with pytest.raises(InputError, match=r"rows\.csv:1: 'positive' is the name of a field and a value of it"):
        guess(path)


def test_files_that_were_joined_may_hold_their_header_again(tmp_path: Path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nI like it,positive\ntext,label\nDreadful,negative\nPoor,negative\n", "utf-8")
    assert guess(path).answer == "label"


def test_of_two_fields_with_as_few_values_the_last_holds_the_answer(tmp_path: Path):
    lines = [f"{i};{('a', 'b')[i % 3 == 0]};Ticket number {i};{('now', 'later')[i % 2]}" for i in range(20)]
    text = "\n".join(["id;channel;message;team", *lines, "20;a;Late;"])
    (tmp_path / "rows.csv").write_text(text, "utf-8")
    found = guess(tmp_path / "rows.csv")
    assert (found.question, found.answer, found.labels) == ("message", "team", ("later", "now"))
