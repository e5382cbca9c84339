"""Everything the page shows, as one value that its scripts draw from.

Prompts are named by their place in `View.prompts`. Long lists are columns: parallel lists of equal length.
Ratios are in [0, 1], rounded to 6 decimals; times are ISO 8601; None is what is not known or undefined.
"""

from typing import Literal

import msgspec

from ...evaluation.scorecard import Bin, Calibration, Gain
from ...llm.budget.usage import UsageReport
from ...llm.chat import Message
from ...record.results import Likeness
from ...search.scores import Merits
from ..progress import Snapshot
from ..wording import Conclusion

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


class MetricName(msgspec.Struct, frozen=True, kw_only=True):
    """A metric as people know it, with its definition in one line."""

    label: str
    formula: str
    better: Literal["higher", "lower"]


class MetricView(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of the original and of the best prompt on test.

    `better` is the direction of an improvement; `tested` is False where no p-value is given on purpose;
    `explained` says how the best prompt's value was computed.
    """

    name: str
    label: str
    better: Literal["higher", "lower"]
    baseline: Measured
    best: Measured
    gain: Gain | None
    tested: bool = True
    explained: str = ""


class Diagram(msgspec.Struct, frozen=True, kw_only=True):
    """Calibration of one prompt on test: bins of a reliability diagram, and the error rate (second) among the
    most confident share of rows (first). `scaled` is the error after temperature scaling."""

    part: Literal["original", "best"]
    rows: int
    ece: float
    bins: tuple[Bin, ...]
    risk: tuple[Point, ...]
    scaled: Calibration | None = None


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """One target task and model. `words` describe the result, `advice` says which prompt to use, `sent` are
    its messages for a test row, `notes` warn of numbers that mislead. `calls` is the cost of its search,
    `estimate` the objective expected of the best prompt when it was chosen."""

    task: str
    model: str
    baseline: int
    best: int
    rows: int
    conclusion: Conclusion
    words: str
    advice: str
    sent: tuple[Message, ...] = ()
    notes: tuple[str, ...] = ()
    metrics: tuple[MetricView, ...] = ()
    calls: int | None = None
    estimate: float | None = None
    selection_bias: float | None = None
    majority: float | None = None
    random: float | None = None
    failed: int = 0
    diagrams: tuple[Diagram, ...] = ()
    more: dict[str, str] = {}


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Ancestry of a prompt: its ancestors from the first to itself, each with its change from the one
    before, and its change from the original."""

    prompt: int
    original: int | None
    change: tuple[Piece, ...] = ()
    steps: tuple[tuple[int, tuple[Piece, ...]], ...] = ()


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """Scores by prompt, task, model and rows (`search` or `test`), as columns; `values` by metric."""

    prompt: list[int]
    task: list[str]
    model: list[str]
    split: list[str]
    rows: list[int]
    failed: list[int]
    values: dict[str, list[float | None]]


class TradeOff(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt of a Pareto front: no other fully scored one of its search is better in every respect."""

    prompt: int
    merits: Merits
    objective: float | None


class SearchView(msgspec.Struct, frozen=True, kw_only=True):
    """One search; `leader` is the prompt that would be chosen now, or was at the end, `objective` its
    estimate from `rows` of the search rows of each task. `rungs` are the rows at which candidates are
    compared, `risen` the candidates that answered at least so many. `calls` is its cost of the `allotted`.
    """

    name: str
    scope: str
    stage: Literal["source", "target"]
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    rungs: tuple[int, ...]
    risen: tuple[int, ...] = ()
    candidates: int = 0
    finished: int = 0
    calls: int = 0
    allotted: int | None = None
    leader: int | None = None
    objective: float | None = None
    rows: int = 0
    reason: str = ""
    refused: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    front: tuple[TradeOff, ...] = ()


class Estimates(msgspec.Struct, frozen=True, kw_only=True):
    """The latest estimate of every candidate in every search, as columns; `search` is a place in
    `View.searches`, `rows` how many search rows of each task the estimate rests on."""

    search: list[int]
    prompt: list[int]
    rows: list[int]
    objective: list[float | None]


class Leaders(msgspec.Struct, frozen=True, kw_only=True):
    """The leader's estimate over the calls of its search, one entry for each change, as columns."""

    search: list[int]
    calls: list[int]
    prompt: list[int]
    rows: list[int]
    objective: list[float | None]


class OfferView(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt that entered a search from others; places in `View.prompts`, names of searches."""

    prompt: int
    search: str
    sources: tuple[str, ...]
    objective: float | None
    rows: int
    chosen: bool


class ResponsesView(msgspec.Struct, frozen=True, kw_only=True):
    """Number of test responses, and of those that the page carries (the rest is in the file)."""

    total: int = 0
    shown: int = 0


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The whole page. `words` is the conclusion in one or two sentences, `metrics` the names of all metrics,
    `progress` the state of a run that goes on, `more` what else results hold."""

    name: str
    status: str
    words: str
    seed: int | None = None
    strategy: str | None = None
    started: str | None = None
    ended: str | None = None
    seconds: float | None = None
    metrics: dict[str, MetricName] = {}
    splits: dict[str, tuple[int, int, int]] = {}
    answered: dict[str, tuple[int, int]] = {}
    prompts: tuple[PromptView, ...] = ()
    targets: tuple[TargetView, ...] = ()
    lineages: tuple[Lineage, ...] = ()
    cells: Cells | None = None
    searches: tuple[SearchView, ...] = ()
    estimates: Estimates | None = None
    leaders: Leaders | None = None
    offers: tuple[OfferView, ...] = ()
    likeness: tuple[Likeness, ...] = ()
    progress: Snapshot | None = None
    usage: UsageReport | None = None
    problems: tuple[str, ...] = ()
    responses: ResponsesView = ResponsesView()
    more: dict[str, str] = {}
