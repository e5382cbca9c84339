"""The final summary as rich tables, for people at a terminal."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from ..evaluation.paired import Gain
from ..evaluation.scorecard import Scorecard
from .results import Results, TargetResult

METRICS = ("objective", "accuracy", "ifr", "ece", "auroc", "auprc_p", "auprc_n")


def summary(results: Results) -> RenderableType:
    """Original against best per target, the prompts to take, transfer, problems and cost."""
    parts: list[RenderableType] = []
    for target in results.targets:
        parts += [_target(target), _prompts(target)]
    if results.transfer:
        parts.append(_transfer(results))
    parts += [f"[yellow]! {escape(problem)}[/]" for problem in results.problems]
    parts.append(_closing(results))
    return Group(*parts)


def _target(target: TargetResult) -> Table:
    base, best = target.baseline.scorecard, target.best.scorecard
    table = Table(
        title=f"{target.task} with {target.model}: held-out test, {best.n} rows",
        caption=_caption(target),
        title_justify="left",
        caption_justify="left",
    )
    for column in ("metric", "original", "best", "difference", "95 % interval", "p"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for metric in METRICS:
        gain = target.gain.get(metric)
        table.add_row(
            f"{metric} (lower is better)" if metric == "ece" else metric,
            _number(_value(base, metric)),
            _number(_value(best, metric)),
            *_gain(gain),
        )
    return table


def _caption(target: TargetResult) -> str:
    chance = target.chance
    parts = [
        f"majority class {_number(chance.majority)}, guessing {_number(chance.random)}",
        f"selection bias {_number(target.selection_bias, sign=True)}",
    ]
    failed = target.baseline.scorecard.failed + target.best.scorecard.failed
    if failed:
        parts.append(f"{failed} failed calls left out")
    return "; ".join(parts)


def _gain(gain: Gain | None) -> Iterable[str]:
    if gain is None:
        return ("–", "–", "–")
    interval = f"[{_number(gain.low, sign=True)}, {_number(gain.high, sign=True)}]"
    return (_number(gain.difference, sign=True), escape(interval), _number(gain.p))


def _prompts(target: TargetResult) -> Panel:
    best = target.best.prompt
    return Panel(
        escape(best.text),
        title=escape(f"best prompt {best.id} ({best.origin}; stands {_place(best.position)})"),
        title_align="left",
    )


def _place(position: str) -> str:
    return {
        "system": "in the system turn",
        "before": "before the question",
        "after": "after the question",
    }[position]


def _transfer(results: Results) -> Table:
    table = Table(title="source prompts as they are, on the targets (test)", title_justify="left")
    for column in ("prompt", "task", "model", "objective", "accuracy", "gap"):
        table.add_column(column)
    for entry in results.transfer:
        card = entry.scorecard
        table.add_row(
            entry.prompt_id,
            entry.task,
            entry.model,
            _number(card.objective),
            _number(card.accuracy),
            _number(entry.gap, sign=True),
        )
    return table


def _closing(results: Results) -> str:
    usage = results.usage
    cost = f", {usage.usd:.4f} USD" if usage.usd else ""
    tokens = usage.prompt_tokens + usage.completion_tokens
    return (
        f"{results.name}: {results.status}; {usage.calls} calls paid, {usage.replayed} replayed, "
        f"{usage.retries} retries, {usage.failed} failed, {tokens} tokens{cost}, "
        f"{usage.seconds:.0f} s"
    )


def _value(card: Scorecard, metric: str) -> float | None:
    return getattr(card, metric)


def _number(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.3f}" if sign else f"{value:.3f}"
