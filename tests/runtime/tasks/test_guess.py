"""The kind of task that a data file seems to hold."""

from pathlib import Path

from transfer_prompting.runtime.tasks.guess import guess


def test_rows_without_a_label_are_counted_and_are_no_label(tmp_path: Path):
    lines = [f"Ticket {i};{('urgent', 'routine')[i % 2]}" for i in range(20)]
    (tmp_path / "rows.csv").write_text("\n".join(["body;priority", *lines, "Late;", "Later; "]), "utf-8")
    found = guess(tmp_path / "rows.csv")
    assert (found.kind, found.question, found.answer) == ("classification", "body", "priority")
    assert (found.labels, found.blank) == (("routine", "urgent"), 2)
