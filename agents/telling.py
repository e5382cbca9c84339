"""What the reference LLM is told of tasks, history and failures, as text."""

from collections.abc import Iterable, Sequence

from .messages import Brief, Failure, Past

_FAULTS = {
    "answer": "the answer was wrong",
    "format": "the answer was right, its format was not",
    "confidence": "the confidence misled",
}


def tasks_told(briefs: Sequence[Brief]) -> str:
    return "\n".join(f"- {brief.description} Answers: {brief.answers}." for brief in briefs)


def history_told(history: Sequence[Past]) -> str:
    """Prompt-score pairs in the order given."""
    return "\n\n".join(f"<prompt>{past.prompt.text}</prompt>\nscore: {past.score}" for past in history)


def exemplars_told(briefs: Sequence[Brief]) -> str:
    return "\n\n".join(
        f"{exemplar.question}\nRight answer: {exemplar.answer}"
        for brief in briefs
        for exemplar in brief.exemplars
    )


def failures_told(failures: Iterable[Failure]) -> str:
    return "\n\n".join(
        f"{failure.question}\nResponse: {failure.response}\nRight answer: {failure.expected}"
        f" ({_FAULTS[failure.fault]})"
        for failure in failures
    )


def notes_told(notes: Iterable[str]) -> str:
    return "\n".join(f"- {note}" for note in notes)
