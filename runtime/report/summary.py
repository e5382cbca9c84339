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
    several = len(results.targets) > 1
    for target in results.targets:
        parts += [_target(target, several=several), _prompts(target)]
    if results.transfer:
        parts.append(_transfer(results))
    parts += [f"[yellow]! {escape(problem)}[/]" for problem in results.problems]
    parts.append(_closing(results))
    return Group(*parts)


def _target(target: TargetResult, *, several: bool) -> Table:
    """One target's table; with `several` in the run, p is also shown as corrected for being so many."""
    base, best = target.baseline.scorecard, target.best.scorecard
    table = Table(
        title=f"{target.task} with {target.model}: held-out test, {best.n} rows",
        caption=_caption(target),
        title_justify="left",
        caption_justify="left",
    )
    for column in ("metric", "original", "best", "difference", "95 % interval", *_ps(several)):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for metric in METRICS:
        gain = target.gain.get(metric)
        table.add_row(
            f"{metric} (lower is better)" if metric == "ece" else metric,
            _number(_value(base, metric)),
            _number(_value(best, metric)),
            *_gain(gain, several),
        )
    for name, value in best.judged.items():
        table.add_row(escape(name), *_judged(base.judged.get(name), value), *["–"] * (1 + len(_ps(several))))
    return table


def _ps(several: bool) -> tuple[str, ...]:
    return ("p", "p (Holm)") if several else ("p",)


def _caption(target: TargetResult) -> str:
    chance = target.chance
    parts = [
        f"majority class {_number(chance.majority)}, guessing {_number(chance.random)}",
        f"selection bias {_number(target.selection_bias, sign=True)}",
    ]
    failed = target.baseline.scorecard.failed + target.best.scorecard.failed
    if failed:
        parts.append(f"{failed} failed calls left out")
    lines = ["; ".join(parts), _scaled(target), _preferred(target), _missed(target)]
    return "\n".join(escape(line) for line in lines if line)


def _scaled(target: TargetResult) -> str:
    """ECE as it would be; the table holds it as it is."""
    parts = (("original", target.baseline.calibration), ("best", target.best.calibration))
    told = [f"{name} {_number(one.scaled_ece)} (T = {one.temperature:.2f})" for name, one in parts if one]
    return f"ece after temperature scaling on validation: {', '.join(told)}" if told else ""


def _preferred(target: TargetResult) -> str:
    found = target.preference
    if found is None or found.share is None:
        return ""
    counts = ((found.wins, "won"), (found.losses, "lost"), (found.tied, "tied"), (found.swayed, "swayed"))
    told = ", ".join(f"{count} {name}" for count, name in counts)
    unusable = f", {found.unusable} unusable" if found.unusable else ""
    return f"the judge prefers the best prompt's responses: {found.share:.2f} ({told}{unusable})"


def _missed(target: TargetResult) -> str:
    missed = [f"{name} {told}" for name, told in target.best.scorecard.unmet.items()]
    return f"the best prompt misses required bounds on test: {'; '.join(missed)}" if missed else ""


def _gain(gain: Gain | None, several: bool) -> Iterable[str]:
    if gain is None:
        return ["–"] * (2 + len(_ps(several)))
    interval = f"[{_number(gain.low, sign=True)}, {_number(gain.high, sign=True)}]"
    ps = (gain.p, gain.p_adjusted) if several else (gain.p,)
    return (_number(gain.difference, sign=True), escape(interval), *map(_number, ps))


def _judged(base: float | None, best: float | None) -> tuple[str, str, str]:
    difference = None if base is None or best is None else best - base
    return (_number(base), _number(best), _number(difference, sign=True))


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
