"""The metrics as people read them."""

from collections.abc import Sequence
from typing import Literal

from ...evaluation.ratings import Preference, Reliability
from ...evaluation.scorecard import Gain
from ...record.results import Results, TargetResult

LABELS = {
    "objective": "Objective",
    "accuracy": "Accuracy",
    "ifr": "Format followed (IFR)",
    "ece": "Calibration error (ECE)",
    "auroc": "AUROC",
    "auprc_p": "AUPRC-P",
    "auprc_n": "AUPRC-N",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "brier": "Brier score",
    "aurc": "AURC",
    "auprc_p_lift": "AUPRC-P over floor",
    "auprc_n_lift": "AUPRC-N over floor",
    "output_tokens": "Output tokens an answer",
    "seconds": "Seconds an answer",
}
"""In the order in which they are shown."""

LOWER = frozenset({"ece", "brier", "aurc", "output_tokens", "seconds"})
"""Metrics that are better lower."""


def label(metric: str) -> str:
    """The metric's name for people; its own where it has none here."""
    return LABELS.get(metric, metric)


def better(metric: str) -> Literal["higher", "lower"]:
    """Which sign of a difference is an improvement."""
    return "lower" if metric in LOWER else "higher"


def number(value: float | None, *, sign: bool = False) -> str:
    """Three decimals; a dash for what is not known."""
    if value is None:
        return "–"
    text = f"{value:+.3f}" if sign else f"{value:.3f}"
    return text.replace("-", "−")


Verdict = Literal["better", "worse", "unclear", "kept"]


def verdict(target: TargetResult) -> Verdict:
    """Kept where the original was chosen; better or worse where the 95 % interval of the best prompt's gain
    in the objective leaves out 0; else unclear."""
    if target.baseline.prompt.id == target.best.prompt.id:
        return "kept"
    return _clear(target.gain.get("objective"))


def _clear(gain: Gain | None) -> Literal["better", "worse", "unclear"]:
    if gain is None or gain.low is None or gain.high is None:
        return "unclear"
    if gain.low > 0:
        return "better"
    return "worse" if gain.high < 0 else "unclear"


def told(target: TargetResult) -> str:
    """One target in a sentence or two."""
    base, best = target.baseline.scorecard, target.best.scorecard
    if verdict(target) == "kept":
        return (
            f"No prompt was better on validation than the original, which scores {number(base.objective)} "
            f"on {base.n} held-out rows."
        )
    gain = target.gain.get("objective")
    scores = (
        f"The best prompt scores {number(best.objective)} on {best.n} held-out rows, "
        f"the original {number(base.objective)}"
    )
    if gain is None or gain.low is None or gain.high is None:
        return f"{scores}; their difference could not be measured."
    said = {
        "better": "a gain that chance does not explain",
        "worse": "a loss that chance does not explain",
        "unclear": "a difference that chance may explain",
    }[_clear(gain)]
    interval = f"95 % interval {number(gain.low, sign=True)} to {number(gain.high, sign=True)}"
    return f"{scores}: {said}, {number(gain.difference, sign=True)} ({interval})."


def notes(target: TargetResult) -> tuple[str, ...]:
    """What to bear in mind with a target's numbers."""
    found: list[str] = []
    best, chance = target.best.scorecard, target.chance
    floor = max((value for value in (chance.majority, chance.random) if value is not None), default=None)
    if floor is not None and best.accuracy is not None and best.accuracy <= floor:
        found.append(
            f"Its accuracy, {number(best.accuracy)}, is not above the {number(floor)} of answering without "
            f"reading the question."
        )
    if target.selection_bias is not None and target.selection_bias > 0.05:
        found.append(
            f"It scored {number(target.selection_bias, sign=True)} more on validation, where it was chosen, "
            f"than on test."
        )
    if best.unmet:
        found.append(f"It misses what the scenario requires: {'; '.join(best.unmet.values())}.")
    if best.n < 100:
        width = round(100 * 1.96 * 0.5 / best.n**0.5)  # half the normal interval of a share of one half
        found.append(
            f"{best.n} test rows are few: an accuracy from them is uncertain by some ±{width} points."
        )
    failed = best.failed + target.baseline.scorecard.failed
    if failed:
        found.append(f"{failed} calls failed and are left out.")
    if target.preference is not None and target.preference.share is not None:
        found.append(_preferred(target.preference))
    if best.reliability is not None:
        found += _believed(best.reliability)
    return tuple(found)


def _preferred(preference: Preference) -> str:
    undecided = preference.tied + preference.swayed
    return (
        f"Shown both responses to a row, the judge preferred the best prompt's {preference.wins} times, the "
        f"original's {preference.losses} times; {undecided} rows were undecided."
    )


def _believed(reliability: Reliability) -> list[str]:
    """How far the judge's ratings can be believed."""
    apart = [gap for gap in reliability.disagreement.values() if gap is not None]
    if not apart:
        return []
    gap = sum(apart) / len(apart)
    return [f"Asked twice, the judge's ratings of a response are {gap:.2f} points (of 4) apart."]


def in_all(results: Results | None, status: str) -> str:
    """What came out over all targets."""
    if results is None or not results.targets:
        return _ended(status)
    counts = _counts([verdict(target) for target in results.targets])
    ending = "" if results.status == "complete" else f" {_ended(results.status)}"
    return f"{counts}{ending}"


def _counts(verdicts: Sequence[Verdict]) -> str:
    if len(verdicts) == 1:
        return {
            "better": "Yes: on held-out rows the best prompt beats the original.",
            "worse": "No: on held-out rows the best prompt is worse than the original.",
            "unclear": "Not clearly: on held-out rows the best prompt and the original cannot be told apart.",
            "kept": "No: no prompt was better than the original on validation; the original is kept.",
        }[verdicts[0]]
    total = len(verdicts)
    better, worse = verdicts.count("better"), verdicts.count("worse")
    unclear, kept = verdicts.count("unclear"), verdicts.count("kept")
    if kept == total:
        return (
            "No: no prompt was better than the original of any target on validation; the originals are kept."
        )
    parts = [f"clearly better than the original on {better} of {total} targets"]
    if unclear:
        parts.append(f"not to be told apart on {unclear}")
    if worse:
        parts.append(f"clearly worse on {worse}")
    lead = "Yes" if better == total else "No" if not better else "In part"
    ending = f"; on {kept} the original was kept" if kept else ""
    return f"{lead}: on held-out rows the best prompts are {', '.join(parts)}{ending}."


def _ended(status: str) -> str:
    return {
        "running": "Nothing has met the held-out rows yet.",
        "budget": "The budget ended before the run did; what is shown is complete as far as it goes.",
        "interrupted": "The run was interrupted; run the same command again to go on from there.",
        "failed": "The run failed or lost a target; see the problems below.",
        "complete": "The run is complete, but nothing was tested.",
    }.get(status, f"The run ended: {status}.")
