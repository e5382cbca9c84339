"""What the page shows, as one value that its scripts draw from.

Prompts are told by their place in `View.prompts`. Long lists are columns: parallel lists of equal length.
Ratios are in [0, 1], rounded to 4 decimals; times are ISO 8601; None is what is not known or undefined.
"""

from typing import Literal

import msgspec

from ...evaluation.scorecard import Bin, Calibration, Gain
from ...llm.budget.usage import UsageReport
from ...search.candidates import Merits
from ._words import Verdict

Measured = tuple[float | None, float | None, float | None]
"""A value, and the ends of its 95 % interval."""

Piece = tuple[Literal["=", "-", "+"], str]
"""A piece of a text against another: kept, left out, put in."""

Point = tuple[float, float]


class PromptView(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt; `parents` are places of those that are known, nearest first."""

    id: str
    text: str
    position: str
    origin: str
    parents: tuple[int, ...] = ()


class MetricView(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of the original and of the best prompt on test. `better` is the sign of an improvement;
    `explained` says how the best prompt's value came about."""

    name: str
    label: str
    better: Literal["higher", "lower"]
    baseline: Measured
    best: Measured
    gain: Gain | None
    explained: str = ""


class Diagram(msgspec.Struct, frozen=True, kw_only=True):
    """How far one prompt's confidences can be believed on test: bins of a reliability diagram, and the error
    rate (second) among the surest share of rows (first). `scaled` is what a temperature would mend."""

    part: Literal["original", "best"]
    rows: int
    ece: float
    bins: tuple[Bin, ...]
    risk: tuple[Point, ...]
    scaled: Calibration | None = None


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """One target task and model. `words` say what came out; `notes` what to bear in mind."""

    task: str
    model: str
    baseline: int
    best: int
    rows: int
    verdict: Verdict
    words: str
    notes: tuple[str, ...] = ()
    metrics: tuple[MetricView, ...] = ()
    validation: float | None = None
    selection_bias: float | None = None
    majority: float | None = None
    random: float | None = None
    failed: int = 0
    diagrams: tuple[Diagram, ...] = ()
    more: dict[str, str] = {}


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """How a prompt came about: its ancestors from the first to itself, each with its change from the one
    before, and its change from the original."""

    prompt: int
    original: int | None
    change: tuple[Piece, ...] = ()
    steps: tuple[tuple[int, tuple[Piece, ...]], ...] = ()


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """Scores by prompt, task, model and split, as columns; `values` by metric."""

    prompt: list[int]
    task: list[str]
    model: list[str]
    split: list[str]
    rows: list[int]
    failed: list[int]
    values: dict[str, list[float | None]]


class Compromise(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt of a Pareto front: no other finalist of its search is better in every respect."""

    prompt: int
    merits: Merits
    objective: float | None


class SearchView(msgspec.Struct, frozen=True, kw_only=True):
    """One search; `best` is the best so far, on train, or the kept one once it has ended.

    `stopped` of the `visited` prompts left their race early. `notes` are the reference LLM's latest.
    """

    scope: str
    stage: Literal["source", "target"]
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    steps: int
    visited: int = 0
    stopped: int = 0
    best: int | None = None
    objective: float | None = None
    reason: str = ""
    refused: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    front: tuple[Compromise, ...] = ()


class Points(msgspec.Struct, frozen=True, kw_only=True):
    """Every scoring of a prompt in a search, as columns; `search` is a place in `View.searches`."""

    search: list[int]
    step: list[int]
    split: list[str]
    prompt: list[int]
    objective: list[float | None]
    stopped: list[bool]


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a search; calls, tokens and USD are of the whole run until its end."""

    search: int
    step: int
    candidates: int = 0
    refused: int = 0
    answers: int = 0
    objective: float | None = None
    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None


class ResponsesView(msgspec.Struct, frozen=True, kw_only=True):
    """How many test responses there are, and how many the page carries (the rest is in the file)."""

    total: int = 0
    shown: int = 0


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The whole page. `words` is the answer in one or two sentences; `more` what else results hold."""

    name: str
    status: str
    words: str
    seed: int | None = None
    strategy: str | None = None
    started: str | None = None
    ended: str | None = None
    seconds: float | None = None
    splits: dict[str, tuple[int, int, int]] = {}
    answered: dict[str, tuple[int, int]] = {}
    prompts: tuple[PromptView, ...] = ()
    targets: tuple[TargetView, ...] = ()
    lineages: tuple[Lineage, ...] = ()
    cells: Cells | None = None
    searches: tuple[SearchView, ...] = ()
    points: Points | None = None
    steps: tuple[StepView, ...] = ()
    usage: UsageReport | None = None
    problems: tuple[str, ...] = ()
    responses: ResponsesView = ResponsesView()
    more: dict[str, str] = {}
