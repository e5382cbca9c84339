"""All runs of a folder in one page, with links to their reports."""

import html
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from ...scenarios.errors import InputError
from ..formatting import format_interval, format_number, format_p, format_seconds, format_usd, plural
from ..record.files import replace_file
from ..record.history import begun
from ..record.results import Results, TargetResult, load_results
from .results_table import page
from .wording import conclusion

HEAD = (
    "Run",
    "Started (UTC)",
    "Target",
    "Result",
    "Status",
    "Accuracy",
    "Objective",
    "Gain (95 %)",
    "p (Holm)",
    "Calls",
    "Cost",
    "Time",
)
WORDS = {"better": "better", "worse": "worse", "unclear": "not significant", "kept": "original kept"}


def write_runs_page(folder: Path) -> Path:
    """Write `index.html` with all runs in a folder and the folders below it; returns its path.

    Runs come in the order in which they began, the latest first. A run of another version is named as such.
    Raises InputError where there is no run.
    """
    found = sorted({path.parent for path in folder.glob("**/results.json")}, key=_began, reverse=True)
    if not found:
        raise InputError(f"{folder}: no run here; give the folder that holds output folders of runs")
    rows = [row for run in found for row in _rows(folder, run)]
    path = folder / "index.html"
    caption = f"{plural(len(found), 'run')}; scores are on held-out rows, original → best prompt."
    text = page(f"Runs in {folder.resolve().name}", caption, HEAD, rows, texts=5)
    replace_file(path, text.encode(errors="replace"))
    return path


def _began(run: Path) -> tuple[datetime, str]:
    return begun(run / "history.jsonl") or datetime.min.replace(tzinfo=UTC), str(run)


def _rows(folder: Path, run: Path) -> Iterator[list[str]]:
    name = str(run.relative_to(folder))
    report = run / "report.html"
    link = html.escape(name)
    if report.is_file():
        link = f'<a href="{quote(os.fsencode(report.relative_to(folder).as_posix()))}">{link}</a>'
    try:
        results = load_results(run / "results.json")
    except InputError as error:
        yield [link, "", "", html.escape(str(error).partition(": ")[2]), *[""] * (len(HEAD) - 4)]
        return
    began = begun(run / "history.jsonl")
    start = "" if began is None else f"{began.astimezone(UTC):%Y-%m-%d %H:%M}"
    link = f"{link} (seed {results.seed})"
    cost = _cost(results)  # of the whole run, so only its first row has it
    for target in results.targets:
        yield [link, start, *_target(results, target), *cost]
        cost = [""] * len(cost)
    if not results.targets:
        yield [link, start, "", "nothing tested", results.status, "", "", "", "", *cost]


def _target(results: Results, target: TargetResult) -> list[str]:
    base, best, gain = target.baseline.scorecard, target.best.scorecard, target.gain.get("objective")
    change = "–"
    if gain is not None:
        interval = format_interval(gain.low, gain.high, sign=True)
        change = f"{format_number(gain.difference, sign=True)} {interval}"
    return [
        html.escape(f"{target.task} · {target.model}"),
        WORDS[conclusion(target)],
        results.status,
        f"{format_number(base.accuracy)} → {format_number(best.accuracy)}",
        f"{format_number(base.objective)} → {format_number(best.objective)}",
        change,
        html.escape(format_p(None if gain is None else gain.p_adjusted)),
    ]


def _cost(results: Results) -> list[str]:
    usage = results.usage
    paid = format_usd(usage.usd or None)  # 0 where no prices are given
    return [f"{usage.calls + usage.replayed:,}", paid, format_seconds(usage.seconds)]
