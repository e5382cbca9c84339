"""Commands that look at finished runs."""

from pathlib import Path
from typing import Annotated

import typer

from .options import AllowCode, ExportFormat, Folder, TableFormat, console


def report(
    folder: Folder,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print every metric of every target.")
    ] = False,
) -> None:
    """Rebuild DIR/report.html and print the summary of a run.

    Example: tprompt report runs/quickstart
    """
    from ..runtime.record.results import in_folder
    from ..runtime.report.page import write_page
    from .summary import summary

    screen = console()
    screen.print(summary(in_folder(folder), verbose=verbose))
    screen.print(f"report in {write_page(folder)}", markup=False, highlight=False)


def view(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with output folders of runs.")] = Path(
        "runs"
    ),
) -> None:
    """Write DIR/index.html: all runs of a folder in one page, with links to their reports.

    Example: tprompt view runs/
    """
    from ..runtime.report.runs_page import write_runs_page

    typer.echo(f"runs in {write_runs_page(folder)}")


def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="Output folders of runs.")],
    form: Annotated[TableFormat, typer.Option("--format", help="Output format.")] = TableFormat.TEXT,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Metrics, comma-separated.", show_default="objective,accuracy,ifr,ece,auroc,auprc_p,auprc_n"
        ),
    ] = None,
) -> None:
    """Compare runs on held-out test: data set × model × metric, mean and 95 % interval over seeds.

    Compares the original, the source and the best prompt of each scenario. A folder of a comparison stands
    for all its runs; runs of the same scenario name are its seeds. The text begins with means over all
    targets and differences from the first scenario (from the original where there is only one). Warnings name
    runs that cannot be compared: with other test rows, or whose replies were read in another way.

    Examples:

        tprompt compare runs/paper-medical --format html > table.html

        tprompt compare runs/* --format latex --metrics accuracy,ece
    """
    from ..runtime.record.results import in_folder, run_folders
    from ..runtime.report.comparison import METRICS, entries, mismatches
    from ..runtime.report.results_table import render
    from ..runtime.report.wording import LABELS
    from ..scenarios.errors import InputError
    from .tables import results_view

    # `runs/*` also names files, as the page of `view`.
    named = [folder for folder in folders if not folder.is_file()]
    if not named:
        raise InputError(f"{folders[0]}: a file; give output folders of runs")
    found = [in_folder(run) for folder in named for run in run_folders(folder)]
    chosen = METRICS if metrics is None else tuple(name.strip() for name in metrics.split(","))
    _known_metrics(chosen, LABELS)
    cells = entries(found, chosen)
    if form is not TableFormat.TEXT:
        warnings = list(mismatches(found))
        for warning in warnings:
            typer.echo(f"! {warning}", err=True)
        typer.echo(render(cells, form.value, warnings), nl=False)
        return
    console().print(results_view(found, chosen))


def _known_metrics(names: tuple[str, ...], known: dict[str, str]) -> None:
    from ..scenarios.errors import InputError, nearest

    for name in names:
        if name not in known:
            raise InputError(f"--metrics {name}: no such metric; {nearest(name, known)}")


def export(
    folder: Folder,
    form: Annotated[ExportFormat, typer.Option("--format", help="Output format.")] = ExportFormat.TEXT,
    task: Annotated[str | None, typer.Option(help="Only this target task.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this target model.")] = None,
    allow_code: AllowCode = False,
) -> None:
    """Print the best prompts of a run for use elsewhere.

    text: the prompt alone (several prompts under a heading each). json: with position, scores and gains.
    dspy: a Python file with a dspy.Signature for each. promptfoo: a configuration that tests the original
    and the best prompt on held-out rows. openai: the body of a request, {row} where the row goes. langchain:
    Python code of a ChatPromptTemplate. The last three take one task and model.

    Examples:

        tprompt export runs/quickstart

        tprompt export runs/try-1 --task tickets --model small --format promptfoo > promptfooconfig.yaml
    """
    from .export import exported

    text = exported(folder, form, task, model, allow_code=allow_code)
    typer.echo(text, nl=form != ExportFormat.PROMPTFOO)
