"""Every reader of a model's text, by name."""

from collections.abc import Callable

from transfer_prompting.agents.reference.sections import parse_candidates, parse_notes
from transfer_prompting.runtime.evaluation.confidence import most_likely, token_probability, verbalised
from transfer_prompting.runtime.evaluation.ratings import read_ratings
from transfer_prompting.runtime.llm.chat import TokenChoice
from transfer_prompting.runtime.tasks.answers import AnswerSpace, answer_space
from transfer_prompting.runtime.tasks.answers.formats import FORMATS
from transfer_prompting.runtime.tasks.answers.numeric import canonical
from transfer_prompting.runtime.tasks.answers.reasoning import without_reasoning
from transfer_prompting.runtime.tasks.answers.strict import lenient_guesses, strict_guesses, strict_lines
from transfer_prompting.runtime.tasks.example import Question
from transfer_prompting.scenarios.tasks import FormatSettings

QUESTION = Question("1", "Which?", choices=("the cat", "a dog", "no fish (at all)", "none of the above"))

SPACES: dict[str, AnswerSpace] = {
    "labels": answer_space("classification", ("neg", "pos", "a b", "a b c", "not spam", "(a+)+$")),
    "yes or no": answer_space("yes_no_maybe"),
    "choice": answer_space("multiple_choice"),
    "number": answer_space("numeric"),
    "text": answer_space("text"),
    "judged text": answer_space("judged"),
    "several labels": answer_space("labels", ("neg", "pos", "a b")),
    "fields": answer_space("extraction", ("answer", "a")),
}

FORMS = {
    "lines": FORMATS["lines"](FormatSettings(kind="lines")),
    "json": FORMATS["json"](FormatSettings(kind="json")),
    "regex": FORMATS["regex"](FormatSettings(kind="regex", pattern=r"(?i)answer[:=]\s*(\w+)")),
    "raw": FORMATS["raw"](FormatSettings(kind="raw")),
}
"""The answer formats."""


def _tokens(space: str, answer: str) -> Callable[[str], object]:
    return lambda text: token_probability([TokenChoice(text, -0.1)], answer, SPACES[space], QUESTION)


READERS: dict[str, Callable[[str], object]] = {
    **{name: (lambda text, space=space: space.lenient(text, QUESTION)) for name, space in SPACES.items()},
    **{f"format {name}": (lambda text, form=form: form.lenient(text)) for name, form in FORMS.items()},
    **{
        f"format {name}, strictly": (lambda text, form=form: form.strict(text, confidence=False))
        for name, form in FORMS.items()
    },
    "the only number": canonical,
    "answer line": lambda text: strict_lines(text, confidence=True),
    "guesses": lambda text: strict_guesses(text, 3),
    "guesses with words around": lenient_guesses,
    "stated confidence": verbalised,
    "ratings": lambda text: read_ratings(text, ["relevance", "quality"]),
    "reasoning": without_reasoning,
    "candidates": parse_candidates,
    "notes": parse_notes,
    "tokens of a label": _tokens("labels", "pos"),
    "tokens of a number": _tokens("number", "5"),
    "first token": lambda text: most_likely([TokenChoice(text, -0.1)], ("neg", "pos")),
}
