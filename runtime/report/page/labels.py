"""The metrics as people read them."""

from typing import Literal

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
