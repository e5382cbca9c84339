"""All runs of a folder in one page."""

import os
import re
import sys
from pathlib import Path

import pytest

from transfer_prompting.runtime.report.runs_page import write_runs_page
from transfer_prompting.scenarios.errors import InputError

from support.finished import write_run


def test_every_run_has_its_rows_and_a_link_to_its_report(tmp_path: Path):
    write_run(tmp_path / "first try", name="first")
    write_run(tmp_path / "study" / "second-1", name="second", models=("small",), page=False)
    text = write_runs_page(tmp_path).read_text()
    assert re.findall('href="([^"]+)"', text) == ["first%20try/report.html"] * 2
    assert "study/second-1" in text
    assert text.count("<tr>") == 1 + 2 + 1
    assert "tickets · large" in text


def test_names_are_text(tmp_path: Path):
    write_run(tmp_path / "a<b>&", name="x", models=("<i>small",))
    text = write_runs_page(tmp_path).read_text()
    assert "<b>" not in text
    assert "<i>" not in text


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_a_name_that_is_no_text_is_shown_and_linked(tmp_path: Path):
    write_run(tmp_path / os.fsdecode(b"a\xff"))
    assert 'href="a%FF/report.html">a?<' in write_runs_page(tmp_path).read_text()


def test_a_run_of_an_earlier_version_is_named_as_such(tmp_path: Path):
    write_run(tmp_path / "new", page=False)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "results.json").write_text('{"schema": 1}')
    assert "made by an earlier version" in write_runs_page(tmp_path).read_text()


def test_a_folder_without_runs_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no run here"):
        write_runs_page(tmp_path)
