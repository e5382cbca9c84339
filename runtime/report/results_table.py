"""Results of runs as a table: data set × model × metric, as text, CSV, Markdown, LaTeX or HTML."""

import csv
import html
import io
from collections.abc import Sequence
from typing import Literal

from ..formatting import UNDEFINED, format_number
from .comparison import Entry, Mean
from .wording import directed

Format = Literal["csv", "markdown", "latex", "html"]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem;
  color: #1c1e23; background: #fcfcfa; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { position: sticky; left: 0; max-width: calc(100vw - 2rem); text-align: left; color: #595f6b;
  padding-bottom: 0.5rem; }
th, td { text-align: left; padding: 0.35rem 0.9rem 0.35rem 0; border-bottom: 1px solid #e2e4e8; }
td { vertical-align: top; }
thead th { color: #595f6b; font-weight: 400; }
.number { text-align: right; white-space: nowrap; }
.scroll { overflow-x: auto; }
a { color: #00619a; }
@media (prefers-color-scheme: dark) {
  body { color: #e8e9ec; background: #15171b; } th, td { border-color: #30343c; }
  caption, thead th { color: #a4abb8; } a { color: #79c3ef; }
}
@media print { body { margin: 0; max-width: none; } }
"""


def text_rows(entries: Sequence[Entry]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: task and model, the metric, and a column for each prompt with the mean and, where there
    is one, half of the 95 % interval."""
    prompts = list(dict.fromkeys(entry.prompt for entry in entries))
    head = ["data set · model", "metric", *prompts]
    found = {(one.task, one.model, one.metric, one.prompt): one.mean for one in entries}
    keys = dict.fromkeys((one.task, one.model, one.metric) for one in entries)
    rows: list[list[str]] = []
    before = ""
    for task, model, metric in keys:
        pair = f"{task} · {model}"
        values = [_cell(found.get((task, model, metric, prompt))) for prompt in prompts]
        rows.append(["" if pair == before else pair, directed(metric), *values])
        before = pair
    return head, rows


def _cell(mean: Mean | None) -> str:
    if mean is None:
        return UNDEFINED
    value = format_number(mean.value)
    if mean.low is None or mean.high is None:
        return value
    return f"{value} ± {format_number((mean.high - mean.low) / 2)}"


def render(entries: Sequence[Entry], form: Format, warnings: Sequence[str] = ()) -> str:
    """The table in one of the formats. CSV has one line a value, with the ends of its interval; a page shows
    the warnings too."""
    if form == "csv":
        return _csv(entries)
    head, rows = text_rows(entries)
    if form == "markdown":
        return _markdown(head, rows)
    if form == "latex":
        return _latex(head, rows)
    cells = [[html.escape(cell) for cell in row] for row in rows]
    return page(
        "Results", " ".join([f"{CAPTION}.", *(f"Warning: {line}." for line in warnings)]), head, cells
    )


CAPTION = "Held-out test: mean over seeds ± half of the 95 % t interval; ↓ lower is better"


def _csv(entries: Sequence[Entry]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["task", "model", "metric", "prompt", "mean", "low", "high", "seeds"])
    for one in entries:
        mean = one.mean
        writer.writerow(
            [one.task, one.model, one.metric, one.prompt, mean.value, mean.low, mean.high, mean.cells]
        )
    return file.getvalue()


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("\\", "\\\\").replace("|", "\\|") for cell in cells) + " |"

    rule = "| --- | --- |" + " ---: |" * (len(head) - 2)
    return "\n".join([line(head), rule, *map(line, rows)]) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "·": r"$\cdot$",
    "↓": r"$\downarrow$",
}


def _latex(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join("".join(_LATEX.get(sign, sign) for sign in cell) for cell in cells) + r" \\"

    body: list[str] = []
    for i, row in enumerate(rows):
        if i and row[0]:
            body.append(r"\midrule")
        body.append(line(row))
    columns = "ll" + "r" * (len(head) - 2)
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            f"\\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            line(head),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def page(title: str, caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 2) -> str:
    """A page with one table and no script; `rows` hold markup, everything else is escaped here. Columns after
    the first `texts` are numbers."""

    def cell(i: int, name: str, content: str) -> str:
        return f"<{name}{' class=number' if i >= texts else ''}>{content}</{name}>"

    heads = "".join(cell(i, "th", html.escape(name)) for i, name in enumerate(head))
    body = "\n".join(f"<tr>{''.join(cell(i, 'td', one) for i, one in enumerate(row))}</tr>" for row in rows)
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}: transfer-prompting</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<h1>{html.escape(title)}</h1>\n<div class="scroll">\n<table>\n'
        f"<caption>{html.escape(caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n"
        f"</tbody>\n</table>\n</div>\n</body>\n</html>\n"
    )
