"""Summary of a run at a terminal: an overview with one row a target, then the details, on 80 columns; and
where its gains are below a threshold."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..runtime.evaluation.scorecard import Gain, Scorecard
from ..runtime.formatting import format_interval, format_number, format_p, format_seconds, format_usd, plural
from ..runtime.record.results import Results, TargetResult
from ..runtime.report.wording import (
    LABELS,
    PLACEMENT,
    UNTESTED,
    Conclusion,
    advice,
    conclusion,
    describe_objective,
    describe_run,
    directed,
    notes,
    unproductive,
)
from ..scenarios.errors import InputError, nearest

METRICS = ("objective", "accuracy", "ifr", "ece", "auroc", "auprc_p", "auprc_n")
"""Metrics of the details; the report and `--verbose` show all."""

FEW = 4
"""Targets up to which details are shown without being asked for."""

RESULT: dict[Conclusion, str] = {
    "better": "[green]better[/]",
    "worse": "[red]worse[/]",
    "unclear": "not significant",
    "kept": "original kept",
}


def summary(results: Results, *, verbose: bool = False) -> RenderableType:
    """Overview, best prompts with warnings and metrics, transfer, problems and cost.

    Metrics of each target are left out where there are many; `verbose` shows all of them.
    """
    parts: list[RenderableType] = []
    detailed = verbose or len(results.targets) <= FEW
    if results.targets:
        tested = plural(len(results.targets), "target")
        parts.append(Text(f"held-out test of {tested}: original → best prompt", style="italic"))
        parts += [_overview(results), Text(describe_run(results, results.status))]
        parts += [Text(f"objective: {describe_objective(results.objective)}", style="dim"), ""]
    for target in results.targets:
        parts += _target(target, several=len(results.targets) > 1, detailed=detailed, verbose=verbose)
    if results.targets and not detailed:
        parts.append("every metric of every target: tprompt report DIR --verbose, or the report")
    if results.transfer and detailed:
        parts += [_transfer(results), ""]
    problems = (*unproductive(results), *results.problems)
    parts += [Text(f"! {problem}", style="yellow") for problem in problems]
    parts.append(Text(_closing(results)))
    return Group(*parts)


def _overview(results: Results) -> Table:
    several = len(results.targets) > 1
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("target", overflow="fold", min_width=12, max_width=24)
    for name in ("accuracy", "objective", "gain\n95 % interval", "p (Holm)" if several else "p", "calls"):
        table.add_column(name, justify="right", no_wrap=True)
    calls = {(one.tasks, one.models): one.calls for one in results.searches if one.stage == "target"}
    for target in results.targets:
        base, best, gain = target.baseline.scorecard, target.best.scorecard, target.gain.get("objective")
        spent = calls.get(((target.task,), (target.model,)))
        found = conclusion(target)
        gain = None if found == "kept" else gain
        table.add_row(
            f"{escape(target.task)} · {escape(target.model)}\n{RESULT[found]}",
            _from_to(base.accuracy, best.accuracy, found),
            _from_to(base.objective, best.objective, found),
            _change(gain),
            format_p(None if gain is None else gain.p_adjusted if several else gain.p),
            "–" if spent is None else f"{spent:,}",
        )
    return table


def _from_to(base: float | None, best: float | None, found: Conclusion) -> str:
    """Both values, or the original's alone where it is the best."""
    return format_number(base) if found == "kept" else f"{format_number(base)} → {format_number(best)}"


def _change(gain: Gain | None) -> str:
    if gain is None:
        return "–"
    interval = escape(format_interval(gain.low, gain.high, sign=True))
    return f"{format_number(gain.difference, sign=True)}\n{interval}"


def _target(
    target: TargetResult, *, several: bool, detailed: bool, verbose: bool
) -> Iterator[RenderableType]:
    if detailed:
        rows = plural(target.best.scorecard.n, "row")
        yield Text(f"{target.task} · {target.model}: held-out test, {rows}", style="italic")
        yield _metrics(target, several=several, verbose=verbose)
        yield from (Text(line, style="dim") for line in _remarks(target))
    else:
        yield Text(f"{target.task} · {target.model}", style="bold")
    yield from (Text(f"! {note}", style="yellow") for note in notes(target))
    yield _prompt(target)
    yield Text(advice(target))
    yield ""


def _metrics(target: TargetResult, *, several: bool, verbose: bool) -> Table:
    base, best = target.baseline.scorecard, target.best.scorecard
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("metric", overflow="fold")
    kept = conclusion(target) == "kept"
    changes = ("best", "difference", "95 % interval", "p (Holm)" if several else "p")
    for column in ("original", *(() if kept else changes)):
        table.add_column(column, justify="right", no_wrap=True)
    for name in (*LABELS,) if verbose else METRICS:
        gain = target.gain.get(name)
        if gain is None and getattr(base, name) is None and getattr(best, name) is None:
            continue
        cells = (*_values(base, best, name), *_gain(name, gain, several))
        table.add_row(directed(name), *(cells[:1] if kept else cells))
    for name, value in best.judged.items():
        before = base.judged.get(name)
        difference = None if before is None or value is None else value - before
        cells = (format_number(before), format_number(value), format_number(difference, sign=True), "–", "–")
        table.add_row(escape(name), *(cells[:1] if kept else cells))
    return table


def _values(base: Scorecard, best: Scorecard, name: str) -> tuple[str, str]:
    return format_number(getattr(base, name)), format_number(getattr(best, name))


def _gain(name: str, gain: Gain | None, several: bool) -> Iterator[str]:
    if gain is None:
        yield from ["–"] * 3
        return
    yield format_number(gain.difference, sign=True)
    yield escape(format_interval(gain.low, gain.high, sign=True))
    yield "–" if name in UNTESTED else format_p(gain.p_adjusted if several else gain.p)


def _remarks(target: TargetResult) -> Iterator[str]:
    """Baselines, optimism from selection, and the judge and calibration where there is something to say."""
    chance = target.chance
    baselines = f"majority class {format_number(chance.majority)}, guessing {format_number(chance.random)}"
    yield f"↓ lower is better; {baselines}; selection bias {format_number(target.selection_bias, sign=True)}"
    parts = {"original": target.baseline.calibration}
    if conclusion(target) != "kept":
        parts["best"] = target.best.calibration
    scaled = [
        f"{name} {format_number(one.scaled_ece)} (T = {one.temperature:.2f})"
        for name, one in parts.items()
        if one
    ]
    if scaled:
        yield f"ECE after temperature scaling on search rows: {', '.join(scaled)}"
    found = target.preference
    if found is not None and found.share is not None:
        counts = (
            (found.wins, "won"),
            (found.losses, "lost"),
            (found.tied, "tied"),
            (found.swayed, "undecided"),
        )
        words = ", ".join(f"{count} {name}" for count, name in counts)
        share = f"{found.share:.2f} ({words}, {found.unusable} unusable)"
        yield f"judge's preference for the best prompt: {share}"


def _prompt(target: TargetResult) -> Panel:
    best = target.best.prompt
    name = "original prompt" if conclusion(target) == "kept" else "best prompt"
    title = f"{name} {best.id} ({best.origin}; placement: {PLACEMENT[best.position]})"
    return Panel(escape(best.text), title=escape(title), title_align="left")


def _transfer(results: Results) -> Table:
    title = "source prompts without adaptation, on the targets (test)"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("prompt", "target"):
        table.add_column(column, overflow="fold")
    for column in ("objective", "accuracy", "gap to best"):
        table.add_column(column, justify="right")
    for entry in results.transfer:
        card = entry.scorecard
        table.add_row(
            entry.prompt_id,
            escape(f"{entry.task} · {entry.model}"),
            format_number(card.objective),
            format_number(card.accuracy),
            format_number(entry.gap, sign=True),
        )
    return table


def _closing(results: Results) -> str:
    usage = results.usage
    cost = f", {format_usd(usage.usd)}" if usage.usd else ""
    tokens = usage.prompt_tokens + usage.completion_tokens
    return (
        f"{results.name}: {results.status}; {plural(usage.calls, 'call')} paid, {usage.replayed:,} replayed, "
        f"{plural(usage.retries, 'retry', 'retries')}, {usage.failed:,} failed, {tokens:,} tokens{cost}, "
        f"{format_seconds(usage.seconds)}"
    )


def parse_threshold(text: str) -> tuple[str, float]:
    """`METRIC=VALUE` as a metric and a number; `gain` stands for the objective. Raises InputError."""
    name, _, value = text.partition("=")
    metric = "objective" if name.strip() == "gain" else name.strip()
    if metric not in LABELS:
        raise InputError(f"--fail-under {text}: no metric {name!r}; {nearest(name, ('gain', *LABELS))}")
    try:
        return metric, float(value)
    except ValueError:
        raise InputError(f"--fail-under {text}: expected METRIC=NUMBER, e.g. gain=0.02") from None


def shortfalls(results: Results, metric: str, least: float) -> Iterator[str]:
    """A line for each target whose gain on held-out rows is below `least`, an improvement being positive."""
    if not results.targets:
        yield f"{results.name}: no target was tested, so no gain reaches {least}"
    for target in results.targets:
        gain = target.gain.get(metric)
        if gain is None:
            yield f"{target.task} · {target.model}: the gain in {metric} is undefined; {least} was required"
            continue
        better = gain.difference if gain.better == "higher" else -gain.difference
        if better < least:
            found = format_number(better, sign=True)
            yield f"{target.task} · {target.model}: the gain in {metric} is {found}, below {least}"
