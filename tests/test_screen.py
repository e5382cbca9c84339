"""What commands print: text of others is shown and never obeyed, whatever names and widths are."""

import os
from pathlib import Path

import pytest

from transfer_prompting.cli._start import check_terminal_size
from transfer_prompting.cli.screen import Screen

from support.commands import tprompt
from support.finished import write_run


@pytest.mark.parametrize(
    "control", ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x7f", "\u202e", "\u2067", "\r"]
)
def test_controls_in_text_do_not_reach_the_terminal(control: str, capsys: pytest.CaptureFixture[str]):
    Screen().print(f"some {control}text\tand\nmore", markup=False)
    shown = capsys.readouterr().out
    assert control[0] not in shown
    assert shown.startswith("some ")
    assert shown.endswith("and\nmore\n")


async def test_a_folder_whose_name_looks_like_markup_is_named_as_it_is(tmp_path: Path):
    for name in ("r[/b]", "[red]q[/]", ":fire:"):
        write_run(tmp_path / name, models=("small",))
        done = await tprompt("report", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"report in {name}/report.html" in done.stdout


@pytest.mark.parametrize("value", ["²³", "9" * 20, "-5", "wide", "80"])
def test_a_width_that_is_none_is_forgotten(value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", value)
    check_terminal_size()
    assert os.environ.get("COLUMNS") == ("80" if value == "80" else None)
