"""Options and exit codes of the command line, without anything that a command would have to import."""

from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

if TYPE_CHECKING:
    from rich.console import Console

Place = Literal["openai", "vllm", "ollama", "llamacpp", "embedded"]
"""Kinds of endpoints that `init` knows."""

PLACES: tuple[Place, ...] = get_args(Place)


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    BUDGET = 3
    INTERRUPTED = 130


class ExportFormat(StrEnum):
    """Output formats of `export`."""

    TEXT = "text"
    JSON = "json"
    DSPY = "dspy"
    PROMPTFOO = "promptfoo"
    OPENAI = "openai"
    LANGCHAIN = "langchain"


class TableFormat(StrEnum):
    """Output formats of `compare`."""

    TEXT = "text"
    CSV = "csv"
    MARKDOWN = "markdown"
    LATEX = "latex"
    HTML = "html"


class TrackerName(StrEnum):
    """Experiment trackers that a run can be logged to."""

    MLFLOW = "mlflow"
    WANDB = "wandb"


class LogFormat(StrEnum):
    """Forms of the log on stderr."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """Lowest level of the log on stderr."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def console() -> "Console":
    """A console on stdout."""
    from .screen import Screen

    return Screen()


def _scenarios(incomplete: str) -> list[str]:
    from ..scenarios.scenario import completions

    return completions(incomplete)


ScenarioName = Annotated[
    str,
    typer.Argument(
        metavar="SCENARIO",
        help="Path of a scenario file, or a bundled name (tprompt scenarios).",
        autocompletion=_scenarios,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY.PATH=VALUE", help="Override one value, e.g. budget.calls=500. Repeatable."
    ),
]
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code", help="Import the Python modules that the scenario names; only where you trust them."
    ),
]
MetricsAddress = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="[HOST:]PORT",
        help="Serve metrics for Prometheus (/metrics) and health (/health) there: on loopback unless HOST is "
        "given; port 0 is any free one.",
        show_default="off",
    ),
]
TrackerNames = Annotated[
    list[TrackerName] | None,
    typer.Option(
        "--track",
        help="Log the run to this experiment tracker, set up by its own environment variables. Repeatable.",
        show_default="none",
    ),
]
LogForm = Annotated[
    LogFormat | None, typer.Option("--log-format", help="Also write the log on stderr, in this form.")
]
LogLeast = Annotated[
    LogLevel | None,
    typer.Option("--log-level", help="Lowest level of the log on stderr.", show_default="info"),
]
BusOption = Annotated[
    str | None, typer.Option("--bus", help="Address of the nats-server.", show_default="the scenario's bus")
]
ServedModels = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Entry of the scenario's models to serve. Repeatable.",
        show_default="those of bus.models, else the targets",
    ),
]
FailUnder = Annotated[
    str | None,
    typer.Option(
        "--fail-under",
        metavar="METRIC=VALUE",
        help="Exit with 1 when any target's held-out gain is below this, e.g. gain=0.02 (the objective) "
        "or accuracy=0.",
    ),
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Output folder of a run.")]
