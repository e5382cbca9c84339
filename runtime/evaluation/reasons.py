"""How each metric of a scorecard came about, in words."""

from .binning import BINS, Binning
from .metrics import Values
from .outcomes import Outcomes

RANKED = ("auroc", "auprc_p", "auprc_n", "auprc_p_lift", "auprc_n_lift")
CALIBRATED = ("ece", "brier", "aurc")
BY_CLASS = ("balanced_accuracy", "macro_f1")


def reasons(outcomes: Outcomes, values: Values, binning: Binning = "width") -> dict[str, str]:
    """By metric: from what it was computed, or why it is undefined. Empty where there are no graded rows."""
    rows = len(outcomes.ids)
    if not rows:
        return {}
    table = outcomes.table()
    right, followed = int(table["correct"].sum()), int(table["followed"].sum())
    credit = float(table["credit"].sum())
    said = {
        "accuracy": f"{right} of {rows} right"
        if right == credit
        else f"credit {credit:.4g} over {rows} rows",
        "ifr": f"{followed} of {rows} in the strict format",
    }
    classes = f"{len(outcomes.labels)} labels" if outcomes.closed else "undefined: the answer space is open"
    said |= dict.fromkeys(BY_CLASS, classes)
    said |= dict.fromkeys(CALIBRATED, f"{rows} confidences")
    said["ece"] = f"{BINS} bins of equal {binning} over {rows} rows"
    said |= dict.fromkeys(RANKED, f"{right} right against {rows - right} wrong")
    return said | {name: _missing(values, right) for name in (*RANKED, *CALIBRATED) if values[name] is None}


def _missing(values: Values, right: int) -> str:
    if values["ece"] is None:
        return "undefined: not every row has a confidence"
    return f"undefined: every answer is {'right' if right else 'wrong'}"
