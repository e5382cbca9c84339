"""Results as text: labels of metrics, conclusions, advice and warnings."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from ..evaluation.metrics import METRICS
from ..evaluation.outcomes import FLAWED, FLAWS
from ..evaluation.ratings import Preference, Reliability
from ..evaluation.scorecard import UNANSWERED, Gain, Scorecard
from ..formatting import format_number, plural
from ..record.results import PromptResult, Results, TargetResult

OBJECTIVE = "weighted mean of the metrics that the scenario names; the search maximises it"

LABELS = {"objective": "Objective", **{name: metric.label for name, metric in METRICS.items()}}
"""Metrics as people read them, in the order in which they are shown."""

FORMULAS = {
    "objective": OBJECTIVE,
    **{
        name: re.sub(r"[$`]|, see below|, the mean of \$y\$", "", metric.formula)
        for name, metric in METRICS.items()
    },
}
"""Definitions in one line, without Markdown and references to the documentation."""

UNTESTED = frozenset(name for name, metric in METRICS.items() if metric.family == "cost")
"""Metrics whose differences are never tested: time and length are not what a p-value here is about."""

RANKED = ("ece", "auroc", "auprc_p", "auprc_n", "brier", "aurc")
"""Metrics of confidence, which few readable replies make meaningless."""

PLACEMENT = {
    "system": "as the system message",
    "before": "before the question",
    "after": "after the question",
}
"""The place of a prompt, by its position."""

FEW = 10
"""Replies below which a metric of confidence is not meaningful."""

Conclusion = Literal["better", "worse", "unclear", "kept"]


def describe_objective(weights: Mapping[str, float]) -> str:
    """The objective in one line, with its weights where they are known."""
    parts = [f"{_short(name)} {weight:g}" for name, weight in weights.items() if weight > 0]
    return f"weighted mean of {', '.join(parts)}; the search maximises it" if parts else OBJECTIVE


def _short(metric: str) -> str:
    """A metric as it enters the objective, by its abbreviation where it has one: `1 − ECE`."""
    _, _, short = label(metric).rpartition("(")
    name = short.rstrip(")")
    return (
        f"1 − {name}"
        if better(metric) == "lower"
        else name[:1].lower() + name[1:]
        if name.istitle()
        else name
    )


def label(metric: str) -> str:
    """The metric's name for people; its own where it has none here."""
    return LABELS.get(metric, metric)


def better(metric: str) -> Literal["higher", "lower"]:
    """The direction that is an improvement."""
    known = METRICS.get(metric)
    return "higher" if known is None else known.better


def directed(metric: str) -> str:
    """The metric's name with an arrow down where lower is better."""
    return f"{label(metric)} ↓" if better(metric) == "lower" else label(metric)


def significance(metric: str, gain: Gain | None) -> Literal["better", "worse", "unclear"]:
    """Better or worse where the 95 % interval of a gain excludes 0, else unclear."""
    if gain is None or gain.low is None or gain.high is None or metric in UNTESTED:
        return "unclear"
    low, high = (gain.low, gain.high) if gain.better == "higher" else (-gain.high, -gain.low)
    if low > 0:
        return "better"
    return "worse" if high < 0 else "unclear"


def conclusion(target: TargetResult) -> Conclusion:
    """Kept where the original was chosen, else the significance of the gain in the objective."""
    if target.baseline.prompt.id == target.best.prompt.id:
        return "kept"
    return significance("objective", target.gain.get("objective"))


def describe_target(target: TargetResult) -> str:
    """One target in a sentence or two, with the advice where there is one."""
    base, best = target.baseline.scorecard, target.best.scorecard
    if conclusion(target) == "kept":
        return (
            f"No prompt was better on the search rows than the original, which scores "
            f"{format_number(base.objective)} on {plural(base.n, 'held-out row')}."
        )
    gain = target.gain.get("objective")
    scores = (
        f"The best prompt scores {format_number(best.objective)} on {plural(best.n, 'held-out row')}, "
        f"the original {format_number(base.objective)}"
    )
    if gain is None or gain.low is None or gain.high is None:
        return f"{scores}; their difference could not be measured."
    kind = {
        "better": "a significant gain",
        "worse": "a significant loss",
        "unclear": "a difference that chance may explain",
    }[significance("objective", gain)]
    interval = f"95 % interval {format_number(gain.low, sign=True)} to {format_number(gain.high, sign=True)}"
    return f"{scores}: {kind}, {format_number(gain.difference, sign=True)} ({interval})."


def advice(target: TargetResult) -> str:
    """Advice on which of the two prompts to use."""
    return {
        "better": "Use the best prompt.",
        "worse": "Keep the original: the best prompt found is worse on held-out rows.",
        "unclear": "Keep the original, unless more test rows show a gain: none is clear here.",
        "kept": "Keep the original.",
    }[conclusion(target)]


def warnings(target: TargetResult) -> tuple[str, ...]:
    """Numbers of a target that mislead where they are read alone."""
    return tuple(_warnings(target))


def _warnings(target: TargetResult) -> Iterator[str]:
    best, base, chance = target.best.scorecard, target.baseline.scorecard, target.chance
    kept = conclusion(target) == "kept"
    chosen = "original" if kept else "best prompt"
    parts = {"original": target.baseline, chosen: target.best}
    for name, part in parts.items():
        yield from _flaw_warnings(name, part)
        yield from _format_warning(name, part.scorecard)
    floor = max((value for value in (chance.majority, chance.random) if value is not None), default=None)
    if floor is not None and best.accuracy is not None and best.accuracy <= floor:
        yield (
            f"The {chosen}'s accuracy, {format_number(best.accuracy)}, is not above the "
            f"{format_number(floor)} of answering without reading the question."
        )
    gain = target.gain.get("accuracy")
    if conclusion(target) == "better" and gain is not None and gain.difference < 0:
        yield (
            f"The objective rose although accuracy fell ({format_number(gain.difference, sign=True)}): "
            "other metrics of the objective made the gain."
        )
    if target.selection_bias is not None and target.selection_bias > 0.05:
        yield (
            f"The estimate that chose the {chosen} was {format_number(target.selection_bias, sign=True)} "
            "above its objective on test (optimism from selection)."
        )
    if best.unmet:
        missed = "; ".join(f"{name} {said}" for name, said in best.unmet.items())
        yield f"The {chosen} misses what the scenario requires: {missed}."
    if best.n < 100:
        width = round(100 * 1.96 * 0.5 / best.n**0.5) if best.n else 100
        yield (
            f"{plural(best.n, 'test row')} are few: an accuracy from them is uncertain by about ±{width} "
            "points."
        )
    failed = base.failed if kept else best.failed + base.failed
    if failed:
        yield f"{plural(failed, 'call')} failed and {'is' if failed == 1 else 'are'} excluded."


def _flaw_warnings(name: str, part: PromptResult) -> Iterator[str]:
    """Replies that lack something, where they are more than a few."""
    for flaw, count in part.flaws.items():
        if count > FLAWED * part.scorecard.n:
            yield f"{count} of {part.scorecard.n} replies to the {name} {FLAWS[flaw]}."


def _format_warning(name: str, card: Scorecard) -> Iterator[str]:
    """Confidence metrics of replies that are nearly all out of format say nothing."""
    if card.ifr is None or not card.n:
        return
    followed = round(card.ifr * card.n)
    if card.explained.get("ece", "").startswith(UNANSWERED):
        yield (
            f"None of the {plural(card.n, 'reply', 'replies')} to the {name} holds an answer: each counts as "
            "wrong, and its AUROC and calibration error are undefined."
        )
    defined = [name for name in RANKED if getattr(card, name) is not None]
    if followed < min(FEW, card.n) and defined:
        yield (
            f"{followed} of {card.n} replies to the {name} are in the required format: its AUROC and "
            "calibration error are not meaningful."
        )


def unproductive(results: Results) -> Iterator[str]:
    """Searches that scored the original alone, since there was no other candidate, with the reasons."""
    for search in results.searches:
        if search.candidates == 1 and search.refused:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in search.refused.items())
            name = "source" if search.stage == "source" else _pair(search.tasks, search.models)
            hint = "; a candidate must keep the prompt's {variables}" if VARIABLES in search.refused else ""
            said = f"every candidate was refused ({reasons}){hint}"
            if search.refused.keys() == {CALL_FAILED}:
                calls = plural(search.refused[CALL_FAILED], "call")
                said = f"no candidate was written; {calls} of the reference LLM failed"
            yield f"{name}: {said}."


CALL_FAILED = "call failed"
"""The reason under which calls of the reference LLM that brought no candidate are counted."""

VARIABLES = "variables changed"
"""The reason under which candidates without the prompt's variables are refused."""


def _pair(tasks: Sequence[str], models: Sequence[str]) -> str:
    return f"{', '.join(tasks)} · {', '.join(models)}"


def notes(target: TargetResult) -> tuple[str, ...]:
    """Warnings, and what the judge adds."""
    found = list(warnings(target))
    if target.preference is not None and target.preference.share is not None:
        found.append(_preferred(target.preference))
    if target.best.scorecard.reliability is not None:
        found += _agreement(target.best.scorecard.reliability)
    return tuple(found)


def _preferred(preference: Preference) -> str:
    undecided = preference.tied + preference.swayed
    return (
        f"Shown both responses to a row, the judge preferred the best prompt's {preference.wins} times, the "
        f"original's {preference.losses} times; {undecided} rows were undecided."
    )


def _agreement(reliability: Reliability) -> list[str]:
    """Difference between the judge's two ratings of a response."""
    apart = [gap for gap in reliability.disagreement.values() if gap is not None]
    if not apart:
        return []
    gap = sum(apart) / len(apart)
    return [f"Asked twice, the judge's ratings of a response differ by {gap:.2f} points (of 4)."]


def describe_run(results: Results | None, status: str) -> str:
    """The conclusion over all targets, and why the run ended where it ended early."""
    if results is None or not results.targets:
        return _ending(status)
    counts = _counts(Counter(conclusion(target) for target in results.targets))
    if results.status == "complete":
        return counts
    return f"{counts} {_ending(results.status, tested=len(results.targets), targets=_searched(results))}"


def _searched(results: Results) -> int:
    """The targets that were searched for: pairs of task and model."""
    return sum(len(one.tasks) * len(one.models) for one in results.searches if one.stage == "target")


def _counts(found: Counter[Conclusion]) -> str:
    total = found.total()
    if total == 1:
        return {
            "better": "Yes: on held-out rows the best prompt is significantly better than the original.",
            "worse": "No: on held-out rows the best prompt is significantly worse than the original.",
            "unclear": "Not clearly: on held-out rows the best prompt is not significantly better than the "
            "original.",
            "kept": "No: no prompt was better than the original on the search rows; the original is kept.",
        }[next(iter(found))]
    if found["kept"] == total:
        return (
            "No: no prompt was better than the original of any target on the search rows; "
            "the originals are kept."
        )
    parts = [f"significantly better than the original on {found['better']} of {total} targets"]
    if found["unclear"]:
        parts.append(f"not significantly different on {found['unclear']}")
    if found["worse"]:
        parts.append(f"significantly worse on {found['worse']}")
    lead = "Yes" if found["better"] == total else "No" if not found["better"] else "In part"
    kept = f"; on {found['kept']} the original was kept" if found["kept"] else ""
    return f"{lead}: on held-out rows the best prompts are {', '.join(parts)}{kept}."


def _ending(status: str, *, tested: int = 0, targets: int = 0) -> str:
    if not tested:
        budget = "The budget ended the run before anything was tested on held-out rows."
    elif tested < targets:
        budget = f"The budget ended the run early: {tested} of {targets} targets were tested."
    else:
        budget = "The budget ended the run early; the test on held-out rows is complete."
    return {
        "running": "Not tested yet.",
        "budget": budget,
        "interrupted": "The run was interrupted; run the same command again to continue.",
        "failed": "The run failed or lost a target; see the problems below.",
        "complete": "The run is complete, but nothing was tested.",
    }.get(status, f"The run ended: {status}.")
