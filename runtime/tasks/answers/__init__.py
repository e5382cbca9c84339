"""Answer spaces: what may be answered, how it is asked for, and how replies are read."""

from collections.abc import Mapping, Sequence

from ....scenarios.errors import InputError
from .cleaning import folded
from .closed import YES_NO_SYNONYMS, Choice, Labels
from .numeric import Numeric
from .space import AnswerSpace, Recovered
from .text import Judged, Text

__all__ = ["AnswerSpace", "Choice", "Judged", "Labels", "Numeric", "Recovered", "Text", "answer_space"]

FIXED_LABELS = {"yes_no": ("yes", "no"), "yes_no_maybe": ("yes", "no", "maybe")}
_OPEN = {"multiple_choice": Choice, "numeric": Numeric, "text": Text, "judged": Judged}


def answer_space(
    kind: str,
    labels: Sequence[str] = (),
    synonyms: Mapping[str, Sequence[str]] | None = None,
) -> AnswerSpace:
    """The answer space of a scenario's `kind`.

    `classification` needs at least two `labels`; yes/no and yes/no/maybe have their own, and other kinds
    have none. `synonyms` maps labels to other names that the lenient parser accepts. InputError for an
    unknown kind, labels that cannot be told apart, or synonyms of what is no label.
    """
    if kind in _OPEN:
        if synonyms:
            raise InputError(f"synonyms: answers of kind {kind} have no labels; remove them")
        return _OPEN[kind]()
    if kind in FIXED_LABELS:
        own = FIXED_LABELS[kind]
        if not set(labels) <= set(own):
            raise InputError(f"labels: kind {kind} has the labels {', '.join(own)}, not {', '.join(labels)}")
        known = {label: YES_NO_SYNONYMS[label] for label in own}
        return Labels(kind, own, _by_name(own, {**known, **_extended(known, synonyms or {})}))
    if kind != "classification":
        known_kinds = ", ".join(("classification", *FIXED_LABELS, *_OPEN))
        raise InputError(f"kind: {kind!r} is not known; use one of {known_kinds}")
    own = tuple(labels)
    _check(own)
    return Labels(kind, own, _by_name(own, synonyms or {}))


def _extended(
    known: Mapping[str, Sequence[str]], more: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    return {label: (*known.get(label, ()), *names) for label, names in more.items()}


def _check(labels: tuple[str, ...]) -> None:
    if len(labels) < 2:
        raise InputError(f"labels: classification needs at least two, there are {len(labels)}")
    for label in labels:
        if not label or label != label.strip() or len(label.splitlines()) > 1:
            raise InputError(f"labels: {label!r} must be one line of text without space around it")
    seen: dict[str, str] = {}
    for label in labels:
        if other := seen.get(folded(label)):
            raise InputError(f"labels: {other!r} and {label!r} cannot be told apart; rename one")
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
