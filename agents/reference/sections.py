"""Sections of the text for the reference LLM, and the candidates in its replies."""

import re
from collections.abc import Iterable, Sequence

from ... import prompts
from ...runtime.messages import Failure, ScoredPrompt, TaskSummary
from ...runtime.tasks.answers.cleaning import without_reasoning

LONGEST_REPLY = 100_000
"""Characters of a reply that are read; what lies beyond is no candidate."""

NOTES = 8
NOTE_CHARACTERS = 240
"""Most notes that are kept, and the characters each is cut to."""

_FAULTS = {
    "answer": "the answer was wrong",
    "format": "the answer was right, its format was not",
    "confidence": "the confidence misled",
    "metric": "a metric rates it low",
}
_TAG = re.compile(r"<(/?)prompt>", re.IGNORECASE)
_NOTES = re.compile(r"<notes>(.*?)(?:</notes>|\Z)", re.DOTALL | re.IGNORECASE)
_BULLET = re.compile(r"^\s*[-*•]\s*")
_FENCE = re.compile(r"\A```\w*\n(.*?)\n?```\Z", re.DOTALL)
_HOLLOW = re.compile(
    r"\A[\W_]*\Z|\A(your |the |a )?(new |improved |rewritten )?(prompt|instruction)( here)?\W*\Z", re.I
)


def format_tasks(tasks: Sequence[TaskSummary]) -> str:
    return "\n".join(f"- {task.description} Answers: {task.answers}." for task in tasks)


def format_history(history: Sequence[ScoredPrompt]) -> str:
    """Prompt-score pairs in the order given."""
    return "\n\n".join(f"<prompt>{one.prompt.text}</prompt>\nscore: {one.score}" for one in history)


def format_exemplars(tasks: Sequence[TaskSummary]) -> str:
    """Train rows with their right answers; rows without one are left out."""
    return "\n\n".join(
        f"{exemplar.question}\nRight answer: {exemplar.answer}"
        for task in tasks
        for exemplar in task.exemplars
        if exemplar.answer
    )


def format_failures(failures: Iterable[Failure]) -> str:
    return "\n\n".join(map(_format_failure, failures))


def _format_failure(failure: Failure) -> str:
    expected = f"Right answer: {failure.expected} " if failure.expected else ""
    remark = f"\nRemark: {failure.remark}" if failure.remark else ""
    return f"{failure.question}\nResponse: {failure.response}\n{expected}({_FAULTS[failure.fault]}){remark}"


def format_notes(notes: Iterable[str]) -> str:
    return "\n".join(f"- {note}" for note in notes)


def format_request(count: int, characters: int, variables: Iterable[str] = ()) -> str:
    """The closing request for one candidate, or for several in one reply; candidates keep the variables."""
    if count == 1:
        asked = prompts.render("request_one", characters=str(characters))
    else:
        asked = prompts.render("request_several", count=str(count), characters=str(characters))
    kept = ", ".join(f"{{{name}}}" for name in variables)
    return f"{asked} {prompts.render('request_keep', variables=kept)}" if kept else asked


def parse_candidates(reply: str) -> list[str]:
    """The texts between `<prompt>` and `</prompt>`, in order; a last one may lack its end tag.

    Reasoning (`<think>…</think>` and the like) is removed first. Surrounding fences and quotes are dropped,
    and so are texts without content (`...`, `your prompt here`). Time grows linearly with the reply.
    """
    text = without_reasoning(reply[:LONGEST_REPLY])
    found: list[str] = []
    start: int | None = None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            start = tag.end()
        elif start is not None:
            found.append(text[start : tag.start()])
            start = None
    if start is not None:
        found.append(text[start:])
    return [one for one in map(_unwrapped, found) if not _HOLLOW.match(one)]


def parse_notes(reply: str) -> tuple[str, ...]:
    """The notes between `<notes>` and `</notes>`, a line each without bullets; the end may be missing."""
    found = _NOTES.search(without_reasoning(reply[:LONGEST_REPLY]))
    lines = [_BULLET.sub("", line).strip() for line in found[1].splitlines()] if found else []
    return tuple(dict.fromkeys(line[:NOTE_CHARACTERS] for line in lines if line))[:NOTES]


def _unwrapped(text: str) -> str:
    text = text.strip()
    fenced = _FENCE.match(text)
    text = fenced[1].strip() if fenced else text
    for left, right in ('""', "''", "“”", "``"):
        if len(text) > 1 and text.startswith(left) and text.endswith(right) and left not in text[1:-1]:
            text = text[1:-1].strip()
    return text
