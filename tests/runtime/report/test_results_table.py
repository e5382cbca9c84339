"""Tables for papers: the same numbers in every format, whatever characters names hold."""

import csv
import io
import re
from pathlib import Path

import pytest

from transfer_prompting.runtime.record.results import Results
from transfer_prompting.runtime.report.comparison import entries
from transfer_prompting.runtime.report.results_table import render, text_rows

from support.finished import write_run

NASTY = "50%_of|a&b <i>\\"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    home: Path = tmp_path_factory.mktemp("runs")
    return [
        write_run(home / f"{name}-{seed}", name=name, seed=seed, skills=skills, page=False)
        for name, skills in (("mine", (0.5, 0.8)), (NASTY, (0.5, 0.7)))
        for seed in (1, 2, 3)
    ]


def test_every_target_metric_and_prompt_has_its_mean_over_seeds(runs: list[Results]):
    found = entries(runs, ("accuracy", "ece"))
    assert {(one.task, one.model, one.metric, one.prompt) for one in found} == {
        ("tickets", model, metric, prompt)
        for model in ("small", "large")
        for metric in ("accuracy", "ece")
        for prompt in ("original", "mine", NASTY)
    }
    (one,) = (e for e in found if (e.model, e.metric, e.prompt) == ("small", "accuracy", "mine"))
    values = [run.targets[0].best.scorecard.accuracy or 0 for run in runs[:3]]
    assert one.mean.value == pytest.approx(sum(values) / 3)
    assert one.mean.cells == 3
    assert one.mean.low is not None
    assert one.mean.high is not None
    assert one.mean.low < one.mean.value < one.mean.high


def test_csv_holds_the_numbers_as_they_are(runs: list[Results]):
    found = entries(runs)
    rows = list(csv.DictReader(io.StringIO(render(found, "csv"))))
    assert [(row["prompt"], float(row["mean"])) for row in rows] == [
        (one.prompt, one.mean.value) for one in found
    ]


def test_markdown_has_one_cell_for_each_column(runs: list[Results]):
    lines = render(entries(runs), "markdown").splitlines()
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert widths == {6}
    assert "±" in lines[2]


def test_latex_escapes_what_it_reads_as_commands(runs: list[Results]):
    text = render(entries(runs), "latex")
    assert r"50\%\_of|a\&b <i>\textbackslash{}" in text
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {4}
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1


def test_html_holds_names_as_text_and_no_script(runs: list[Results]):
    text = render(entries(runs), "html")
    assert "<i>" not in text
    assert "&lt;i&gt;" in text
    assert "<script" not in text
    assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text


def test_a_pair_is_named_once_and_what_is_missing_is_a_dash(runs: list[Results]):
    only_small = [run for run in runs if run.name == "mine"]
    head, rows = text_rows(entries(only_small, ("accuracy", "ifr")))
    assert head == ["data set · model", "metric", "original", "mine"]
    assert [row[0] for row in rows] == ["tickets · small", "", "tickets · large", ""]


def test_without_runs_there_is_nothing(tmp_path: Path):
    assert entries([]) == []
