"""Text for the reference LLM, and the candidates in its replies."""

import re
from collections.abc import Iterable, Sequence

from ...runtime.messages import Brief, Failure, Past

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


_PAIR = re.compile(r"<prompt>(.*?)</prompt>", re.DOTALL | re.IGNORECASE)
_OPEN = re.compile(r"<prompt>((?:(?!</?prompt>).)*)\Z", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"\A```\w*\n(.*?)\n?```\Z", re.DOTALL)
_HOLLOW = re.compile(
    r"\A[\W_]*\Z|\A(your |the |a )?(new |improved |rewritten )?(prompt|instruction)( here)?\W*\Z", re.I
)


def candidate_texts(reply: str) -> list[str]:
    """The texts between `<prompt>` and `</prompt>`, in order; a last one may lack its end tag.

    Surrounding fences and quotes are dropped, and so are texts without content (`...`, `your prompt here`).
    """
    found = _PAIR.findall(reply)
    rest = _OPEN.search(_PAIR.sub("", reply))
    if rest is not None:
        found.append(rest[1])
    cleaned = (_unwrapped(text) for text in found)
    return [text for text in cleaned if not _HOLLOW.match(text)]


def _unwrapped(text: str) -> str:
    text = text.strip()
    fenced = _FENCE.match(text)
    text = fenced[1].strip() if fenced else text
    for left, right in ('""', "''", "“”", "``"):
        if len(text) > 1 and text.startswith(left) and text.endswith(right) and left not in text[1:-1]:
            text = text[1:-1].strip()
    return text
