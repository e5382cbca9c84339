"""The results of a run: `results.json`, schema 2."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, SupportsIndex, cast, overload

import msgspec

from ...scenarios.errors import InputError, nearest
from ..errors import UNREADABLE
from ..evaluation.outcomes import Flaw
from ..evaluation.ratings import Preference
from ..evaluation.scorecard import Calibration, Chance, Gain, Scorecard
from ..llm.budget.usage import Meter, UsageReport
from ..llm.chat import Message
from ..prompt import Position, Prompt
from ..search.scores import Merits, Scores
from .files import AGAIN, read_file, replace_file
from .history import begun

if TYPE_CHECKING:
    import pandas

SCHEMA = 2

Status = Literal["complete", "budget", "interrupted", "failed"]


class PromptEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt as results show it; `parent` is the nearest of `parents`."""

    id: str
    text: str
    position: Position
    parent: str | None
    parents: tuple[str, ...]
    origin: str

    @classmethod
    def of(cls, prompt: Prompt) -> "PromptEntry":
        return cls(
            id=prompt.id,
            text=prompt.text,
            position=prompt.position,
            parent=prompt.parents[0] if prompt.parents else None,
            parents=prompt.parents,
            origin=prompt.origin,
        )

    def prompt(self) -> Prompt:
        """The prompt itself."""
        return Prompt(text=self.text, position=self.position, origin=self.origin, parents=self.parents)


class SourcePrompt(PromptEntry, frozen=True, kw_only=True):
    """A source prompt with its estimated objective and its scorecards by task and model on the search rows it
    answered."""

    objective: float | None
    scores: Scores

    @classmethod
    def scored(cls, prompt: Prompt, *, objective: float | None, scores: Scores) -> "SourcePrompt":
        entry = msgspec.structs.asdict(PromptEntry.of(prompt))
        return cls(**entry, objective=objective, scores=scores)


class PromptResult(msgspec.Struct, frozen=True):
    """A prompt and its scorecard on test; effect on its ECE of one temperature fitted on the search rows.

    `flaws` counts replies that lack something through no fault of the prompt.
    """

    prompt: PromptEntry
    scorecard: Scorecard
    calibration: Calibration | None = None
    flaws: dict[Flaw, int] = {}

    @property
    def text(self) -> str:
        """The text of the prompt."""
        return self.prompt.text


class TargetResult(msgspec.Struct, frozen=True, kw_only=True):
    """One target task and model: the original against the best prompt, on the same test rows.

    `gain` is best minus baseline per metric, each p also corrected over all targets of the run. `preference`
    is the judge's between their responses, where responses are judged. `search` is the best prompt's
    scorecard on the search rows that chose it, and `selection_bias` its objective there minus its objective
    on test. `test_rows` is a digest of the test rows and `reading` how replies were read: only runs that
    agree in both are comparable (None in results of earlier versions). `sent` are the chat turns that asked
    the first test row under the best prompt, empty for a prompt of several texts.
    """

    task: str
    model: str
    baseline: PromptResult
    best: PromptResult
    gain: dict[str, Gain]
    preference: Preference | None = None
    search: Scorecard | None
    selection_bias: float | None
    chance: Chance
    test_rows: str | None = None
    reading: str | None = None
    sent: tuple[Message, ...] = ()


class Targets(tuple[TargetResult, ...]):
    """Results in the order of task and model: `targets[0]`, or `targets["tickets", "small"]`."""

    __slots__ = ()

    @overload
    def __getitem__(self, key: SupportsIndex | tuple[str, str]) -> TargetResult: ...

    @overload
    def __getitem__(self, key: slice) -> tuple[TargetResult, ...]: ...

    def __getitem__(
        self, key: SupportsIndex | slice | tuple[str, str]
    ) -> TargetResult | tuple[TargetResult, ...]:
        """The result at a place, or of a task and model. KeyError where the run has none for them."""
        if not isinstance(key, tuple):
            return super().__getitem__(key)
        found = next((target for target in self if (target.task, target.model) == key), None)
        if found is None:
            raise KeyError(f"no result for {key[0]} with {key[1]}; there is {self.names}")
        return found

    @property
    def names(self) -> str:
        """Task and model of each, for messages."""
        return ", ".join(f"{target.task} with {target.model}" for target in self) or "none"


if TYPE_CHECKING:
    _Targets = Targets
else:
    _Targets = tuple[TargetResult, ...]  # as msgspec reads it; `Results` makes `Targets` of it


class Transfer(msgspec.Struct, frozen=True):
    """A source prompt tested as it is on a target task and model; `gap` is the best prompt's objective
    minus its own."""

    prompt_id: str
    task: str
    model: str
    scorecard: Scorecard
    gap: float | None


class OnFront(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt that no other fully scored one beats in every respect, with its merits on the search rows."""

    prompt: PromptEntry
    merits: Merits
    objective: float | None


class SearchSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One search: what it was over, how far it came, why it stopped, what it refused.

    Of `candidates` prompts, `finished` answered all `rows` search rows of each task. `calls` is what the
    search cost, `allotted` how many calls or evaluations (see `unit`) it could make (None: no budget bounds
    it). `front` is the Pareto front of the
    finished ones over accuracy, IFR, calibration, output tokens and length. `notes` are the reference LLM's
    at the end.
    """

    scope: str
    stage: Literal["source", "target"]
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    candidates: int
    finished: int
    rows: int
    calls: int
    allotted: int | None
    unit: Literal["calls", "evaluations"] = "calls"
    reason: str
    refused: dict[str, int]
    front: tuple[OnFront, ...] = ()
    notes: tuple[str, ...] = ()


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt that entered a search from elsewhere: from the source stage or from searches of other targets.

    `sources` are the scopes it came from; `objective` is its estimate in the search `scope` that tried it
    (None: not tried), `rows` how many it answered there, and `chosen` whether the search ended with it.
    """

    prompt_id: str
    scope: str
    sources: tuple[str, ...]
    objective: float | None
    rows: int
    chosen: bool


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """Rank correlation of the `prompts` that two searches have both scored; None where they are too few."""

    scopes: tuple[str, str]
    prompts: int
    correlation: float | None


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run found out. Written whole at the end, also of a run that ended early.

    `objective` holds the weights of its metrics. `usage` is of this invocation; its `seconds` are wall time,
    those of its parts the time of their calls.
    """

    schema: int = SCHEMA
    name: str
    status: Status
    seed: int
    source_prompts: tuple[SourcePrompt, ...] = ()
    targets: _Targets = Targets()
    transfer: tuple[Transfer, ...] = ()
    searches: tuple[SearchSummary, ...] = ()
    offers: tuple[Offer, ...] = ()
    likeness: tuple[Likeness, ...] = ()
    problems: tuple[str, ...] = ()
    strategy: str = "transfer"
    objective: dict[str, float] = {}
    usage: UsageReport = msgspec.field(default_factory=lambda: Meter().report())

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "targets", Targets(self.targets))

    def best(self, task: str | None = None, model: str | None = None) -> PromptResult:
        """The prompt to use for a target task and model, with its scorecard; either may be omitted where
        only one target fits.

        Raises InputError when the run has none for them, or several.
        """
        fitting = [
            target for target in self.targets if task in (None, target.task) and model in (None, target.model)
        ]
        if len(fitting) == 1:
            return fitting[0].best
        there = self.targets.names
        if fitting:
            raise InputError(f"several targets; name task and model: {there}")
        raise InputError(f"no prompt for {task or 'any task'} with {model or 'any model'}; there is {there}")

    @classmethod
    def load(cls, folder: str | Path) -> "Results":
        """The results of the run in a folder, or in a `results.json`.

        Raises InputError when there are none, or of another version.
        """
        path = Path(folder)
        return load_results(path) if path.exists() and not path.is_dir() else in_folder(path)

    def save(self, path: str | Path) -> None:
        """Write the results as indented JSON, replacing the file in one step; into `results.json` where a
        folder is given. Raises WriteFailed."""
        path = Path(path)
        write(self, path / "results.json" if path.is_dir() else path)

    def to_dict(self) -> dict[str, object]:
        """The results as plain values, as `results.json` holds them."""
        return cast("dict[str, object]", msgspec.json.decode(msgspec.json.encode(self)))

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row for each prompt, task and model that was scored, as `rows` describes them.

        Raises InputError when pandas is not installed.
        """
        return dataframe(self)


def write(results: Results, path: Path) -> None:
    """Write the results as indented JSON, replacing the file in one step. Raises WriteFailed."""
    replace_file(path, msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")


def in_folder(folder: Path) -> Results:
    """The results of the run in a folder; InputError when there are none, or of another version."""
    path = folder / "results.json"
    if not path.exists():
        raise InputError(f"{path}: no results here; {_where(folder)}")
    return load_results(path)


class _Version(msgspec.Struct):
    schema: int = 0


def load_results(path: Path) -> Results:
    """The results in a file; InputError when it holds none, or those of another version."""
    data = read_file(path)
    try:
        schema = msgspec.json.decode(data, type=_Version).schema
        if schema != SCHEMA:
            version = "an earlier" if schema < SCHEMA else "a later"
            raise InputError(
                f"{path}: made by {version} version (schema {schema}; this version reads {SCHEMA}); "
                f"run the scenario again"
            )
        return msgspec.json.decode(data, type=Results)
    except UNREADABLE as error:
        raise _damaged(path, error) from None


def refuse_damaged_results(path: Path) -> None:
    """InputError where there is a file that holds no results, neither of this version nor of another."""
    if not path.exists():
        return
    data = read_file(path)
    try:
        if msgspec.json.decode(data, type=_Version).schema == SCHEMA:
            msgspec.json.decode(data, type=Results)
    except UNREADABLE as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not the results of a run ({error}); {AGAIN}")


def run_folders(folder: Path) -> list[Path]:
    """The folder of a run itself, or those of all runs of a comparison, in the order in which they began;
    InputError when there are none."""
    if (folder / "results.json").exists():
        return [folder]
    found = [path.parent for path in folder.glob("*/results.json")]
    if not found:
        raise InputError(f"{folder}: no results here; {_where(folder)}")
    return sorted(
        found, key=lambda run: (begun(run / "history.jsonl") or datetime.max.replace(tzinfo=UTC), run)
    )


def _where(folder: Path) -> str:
    """The folder that was probably meant: below the one given, beside it, or in `runs`."""
    if (folder / "ledger.sqlite").is_file():
        return "the run in it has not ended yet"
    near = [
        *folder.glob("*/results.json"),
        *folder.parent.glob("*/results.json"),
        *Path("runs").glob("*/results.json"),
    ]
    found = sorted({str(path.parent) for path in near})
    if not found:
        return "give the output folder of a run"
    return nearest(str(folder), found, cutoff=0.5) if len(found) > 1 else f"did you mean {found[0]!r}?"


Row = dict[str, object]
Role = Literal["source", "baseline", "best", "transfer"]

_NESTED = ("judged", "reliability", "explained", "intervals")


def rows(results: Results) -> Iterator[Row]:
    """Source prompts on the search rows, then every prompt that was tested.

    `role` is source, baseline, best or transfer. Metrics are named as in a scorecard, judged qualities
    `judged.NAME`, the ends of intervals `METRIC_low` and `METRIC_high`; undefined metrics are None.
    """
    known: dict[str, PromptEntry] = {prompt.id: prompt for prompt in results.source_prompts}
    for target in results.targets:
        known |= {part.prompt.id: part.prompt for part in (target.baseline, target.best)}
    for prompt in results.source_prompts:
        for task, cards in prompt.scores.items():
            for model, card in cards.items():
                yield _row("source", prompt, task, model, "search", card)
    for target in results.targets:
        base, best = target.baseline, target.best
        yield _row("baseline", base.prompt, target.task, target.model, "test", base.scorecard)
        yield _row("best", best.prompt, target.task, target.model, "test", best.scorecard)
    for tested in results.transfer:
        prompt = known[tested.prompt_id]
        yield _row("transfer", prompt, tested.task, tested.model, "test", tested.scorecard)


def dataframe(results: Results) -> "pandas.DataFrame":
    """`rows` as a DataFrame. Raises InputError when pandas is not installed."""
    try:
        import pandas
    except ImportError:
        raise InputError("to_dataframe needs pandas: pip install 'transfer-prompting[pandas]'") from None
    return pandas.DataFrame(list(rows(results)))


def _row(role: Role, prompt: PromptEntry, task: str, model: str, split: str, card: Scorecard) -> Row:
    metrics = {name: value for name, value in msgspec.structs.asdict(card).items() if name not in _NESTED}
    return {
        "role": role,
        "task": task,
        "model": model,
        "split": split,
        "prompt_id": prompt.id,
        "text": prompt.text,
        "position": prompt.position,
        "origin": prompt.origin,
        **metrics,
        **{f"judged.{name}": value for name, value in card.judged.items()},
        **{f"{name}_low": low for name, (low, _) in card.intervals.items()},
        **{f"{name}_high": high for name, (_, high) in card.intervals.items()},
    }
