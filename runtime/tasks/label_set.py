"""The labels of a task: which there are, and how many rows of each a split holds."""

from collections import Counter
from collections.abc import Mapping, Sequence

from ...scenarios.tasks import Kind
from ..errors import InputError
from .answers import AnswerSpace, answer_space
from .example import Example, Splits
from .settings import Settings
from .split import parts

MOST_LABELS = 50
"""More different answers than this are no label set to be found in the data."""

LABELLED: tuple[Kind, ...] = ("classification", "yes_no", "yes_no_maybe")

Counts = Mapping[str, Mapping[str, int]]
"""Rows by gold answer for each split."""


def space_for(settings: Settings, rows: Sequence[Example]) -> AnswerSpace:
    """The answer space of a task, for classification with the labels given, or else those of the rows.

    Raises InputError where labels or synonyms do not fit the kind or cannot be told apart.
    """
    labels = _labels(settings, rows) if settings.kind == "classification" else ()
    try:
        return answer_space(settings.kind, labels, settings.synonyms)
    except InputError as error:
        raise InputError(f"tasks.{settings.name}.{error}") from None


def label_counts(kind: Kind, splits: Splits) -> Counts:
    """How often each gold answer stands in each split; empty for open kinds."""
    if kind not in (*LABELLED, "multiple_choice"):
        return {}
    return {part: dict(sorted(Counter(row.gold for row in rows).items())) for part, rows in parts(splits)}


def check_labels(settings: Settings, space: AnswerSpace, splits: Splits, counts: Counts, least: int) -> None:
    """Raise InputError where a split holds fewer than `least` rows of a label.

    Letters of multiple choice are positions, not labels, and are not checked.
    """
    if settings.kind not in LABELLED:
        return
    for label in space.allowed(splits.train[0].asked()):
        held = {part: found.get(label, 0) for part, found in counts.items()}
        if min(held.values()) < least:
            shown = ", ".join(f"{count} {part}" for part, count in held.items())
            raise InputError(
                f"tasks.{settings.name}: too few rows of label {label!r} ({shown}; few_labels asks for "
                f"{least} in each split); take more rows, or set few_labels: 0"
            )


def _labels(settings: Settings, rows: Sequence[Example]) -> tuple[str, ...]:
    if isinstance(settings.labels, Mapping):
        return tuple(dict.fromkeys(settings.labels.values()))
    if settings.labels is not None:
        return tuple(settings.labels)
    found = sorted({row.gold for row in rows})
    if not 2 <= len(found) <= MOST_LABELS:
        raise InputError(
            f"tasks.{settings.name}: the data holds {len(found)} different answers (e.g. {found[0][:40]!r}), "
            f"no set of 2 to {MOST_LABELS} labels; give `labels`, or another `kind`"
        )
    return tuple(found)
