"""Answer spaces: the answers that are allowed, how they are asked for, and how replies are read."""

from collections.abc import Mapping, Sequence

from ....scenarios.errors import InputError
from .cleaning import folded
from .closed import YES_NO_SYNONYMS, Choice, Labels
from .numeric import Numeric
from .several import NONE, Extraction, LabelSet
from .space import AnswerSpace, Recovered
from .text import Judged, Text

__all__ = [
    "AnswerSpace",
    "Choice",
    "Extraction",
    "Judged",
    "LabelSet",
    "Labels",
    "Numeric",
    "Recovered",
    "Text",
    "answer_space",
]

FIXED_LABELS = {"yes_no": ("yes", "no"), "yes_no_maybe": ("yes", "no", "maybe")}
_OPEN = {"multiple_choice": Choice, "numeric": Numeric, "judged": Judged}


def answer_space(
    kind: str,
    labels: Sequence[str] = (),
    synonyms: Mapping[str, Sequence[str]] | None = None,
    *,
    credit: str | None = None,
) -> AnswerSpace:
    """The answer space of a scenario's `kind`.

    `classification` and `labels` need at least two `labels`; yes/no and yes/no/maybe have their own, and
    other kinds have none; for `extraction` they are the fields to be found. `synonyms` maps labels to other
    names that the lenient parser accepts. `credit` is `exact` or `partial`, None for the kind's own.
    InputError for an unknown kind, labels that cannot be distinguished, or synonyms of what is no label.
    """
    if credit is not None and kind not in PARTIAL:
        raise InputError(f"credit: answers of kind {kind} are right or wrong; remove it")
    partial = PARTIAL.get(kind, False) if credit is None else credit == "partial"
    if kind in (*_OPEN, "text", "extraction"):
        if synonyms:
            raise InputError(f"synonyms: answers of kind {kind} have no labels; remove them")
        if kind == "extraction":
            return Extraction(tuple(labels), partial)
        return Text(partial) if kind == "text" else _OPEN[kind]()
    if kind == "labels":
        _check(tuple(labels), "several labels a row")
        _check_set(labels)
        return LabelSet(Labels(kind, tuple(labels), _by_name(tuple(labels), synonyms or {})), partial)
    if kind in FIXED_LABELS:
        own = FIXED_LABELS[kind]
        if not set(labels) <= set(own):
            raise InputError(f"labels: kind {kind} has the labels {', '.join(own)}, not {', '.join(labels)}")
        known = {label: YES_NO_SYNONYMS[label] for label in own}
        return Labels(kind, own, _by_name(own, {**known, **_extended(known, synonyms or {})}))
    if kind != "classification":
        known_kinds = ", ".join(("classification", *FIXED_LABELS, *_OPEN, *PARTIAL))
        raise InputError(f"kind: {kind!r} is not known; use one of {known_kinds}")
    own = tuple(labels)
    _check(own)
    return Labels(kind, own, _by_name(own, synonyms or {}))


PARTIAL = {"text": True, "labels": False, "extraction": True}
"""Kinds whose answers may be right in part, and the default of each."""


def _check_set(labels: Sequence[str]) -> None:
    for label in labels:
        if "," in label or label.casefold() == NONE:
            raise InputError(
                f"labels: {label!r} cannot be one of several labels: a comma separates labels, and {NONE!r} "
                "means that none applies; rename it"
            )


def _extended(
    known: Mapping[str, Sequence[str]], more: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    return {label: (*known.get(label, ()), *names) for label, names in more.items()}


def _check(labels: tuple[str, ...], what: str = "classification") -> None:
    if len(labels) < 2:
        raise InputError(f"labels: {what} needs at least two, there are {len(labels)}")
    for label in labels:
        if not label or label != label.strip() or len(label.splitlines()) > 1:
            raise InputError(f"labels: {label!r} must be one line of text without space around it")
    seen: dict[str, str] = {}
    for label in labels:
        if other := seen.get(folded(label)):
            raise InputError(f"labels: {other!r} and {label!r} cannot be distinguished; rename one")
        seen[folded(label)] = label


def _by_name(labels: tuple[str, ...], synonyms: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Label by synonym."""
    taken = {folded(label): label for label in labels}
    by_name: dict[str, str] = {}
    for label, names in synonyms.items():
        if label not in labels:
            raise InputError(f"synonyms: {label!r} is no label; labels are {', '.join(labels)}")
        for name in names:
            other = taken.setdefault(folded(name), label)
            if other != label:
                raise InputError(f"synonyms: {name!r} stands for both {other!r} and {label!r}")
            if folded(name) != folded(label):
                by_name[name] = label
    return by_name
