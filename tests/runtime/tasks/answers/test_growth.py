"""Readers of replies take time linear in the length of a reply, whatever repeats in it."""

import time
from collections.abc import Callable

import pytest

from transfer_prompting.runtime.evaluation.confidence import token_probability, verbalised
from transfer_prompting.runtime.evaluation.ratings import read_ratings
from transfer_prompting.runtime.llm.chat import TokenChoice
from transfer_prompting.runtime.tasks.answers import answer_space
from transfer_prompting.runtime.tasks.answers.numeric import canonical
from transfer_prompting.runtime.tasks.answers.reasoning import without_reasoning
from transfer_prompting.runtime.tasks.answers.strict import lenient_guesses, strict_guesses, strict_lines
from transfer_prompting.runtime.tasks.example import Question

LENGTH = 100_000
LIMIT = 0.25
"""Seconds of CPU for one reading: five times what it takes on an idle machine, and a twentieth of what one
quadratic pattern takes."""

QUESTION = Question("1", "Which?", choices=("the cat", "a dog", "no fish (at all)", "none of the above"))
LABELS = answer_space("classification", ("neg", "pos", "a b", "a b c", "not spam", "(a+)+$"))
NUMERIC = answer_space("numeric")

READERS: dict[str, Callable[[str], object]] = {
    "labels": lambda text: LABELS.lenient(text, QUESTION),
    "yes or no": lambda text: answer_space("yes_no_maybe").lenient(text, QUESTION),
    "choice": lambda text: answer_space("multiple_choice").lenient(text, QUESTION),
    "number": lambda text: NUMERIC.lenient(text, QUESTION),
    "the only number": canonical,
    "text": lambda text: answer_space("text").lenient(text, QUESTION),
    "judged text": lambda text: answer_space("judged").lenient(text, QUESTION),
    "answer line": lambda text: strict_lines(text, confidence=True),
    "answer line alone": lambda text: strict_lines(text, confidence=False),
    "guesses": lambda text: strict_guesses(text, 3),
    "guesses with words around": lenient_guesses,
    "stated confidence": verbalised,
    "ratings": lambda text: read_ratings(text, ["relevance", "quality"]),
    "reasoning": without_reasoning,
    "tokens of a label": lambda text: token_probability([TokenChoice(text, -0.1)], "pos", LABELS, QUESTION),
    "tokens of a number": lambda text: token_probability([TokenChoice(text, -0.1)], "5", NUMERIC, QUESTION),
}

SIGNS = " \n\t_*`~#>-=.,:;!?'\"()[]{}<>\\/|$%&@^aA10是。\u200b\u2028\u00b9½ﷺ◁"
# fmt: off
WORDS = [
    "\n ", " \n", "\r\n", "_a", "a_", "* ", "*\n", "_-", ",;", ".,", "a b ", "not ", "is not ",
    "the the ", "neg pos ", "answer is ", "answer: ", "Answer:\n", "answer:'", "Answer: x\n",
    "label is ", "the answer to the x ", "answer :", "G1: a\n", "G1: a\nP1: ", "G1: a\n\n",
    "\nP1:", "<think>", "</think>", "[THINK]", "◁think▷", "analysisA",
    "<|channel|>analysis<|message|>", "<|channel|>", "Here is my response:", "<answer>",
    "<answer>a", "\\boxed{", "\\text{", "\\boxed{\\text{", "\\frac{1}{2}", "\\frac{", "#### ",
    "#### 1\n", "\"answer\":", "{\"answer\":", "{\"a\":", "}{", "{[", "1,", "1,000", "1.000.",
    "1 000 ", "1 2/3 ", "1/", "1e", "-1", "- 1", "1.", "1 ", "10^", "1 × 10^5 ", "1.5 million ",
    "2024-05-01 ", "12:30 ", "May 5, ", "5 of may ", "3 or ", "so, ", "So a.\n", "therefore ",
    "because ", " - ", " -", "\nconfidence:", "confidence 5 ", "Confidence: 50%\n",
    "confidence very ", "50%", "confidence (0-", "50 out of ", "I would choose ", "i cannot ",
    "as an ai ", "(A) ", "A. ", "A) ", "option A ", "A or B ", "question:\n", "\n\nquestion ",
    "> * # ", "选择", "答案是", "不", "属于a", "á", "```a\n", "classify the x as ",
]
# fmt: on
TEXTS = {
    **{f"{unit!r} repeated": (unit * LENGTH)[:LENGTH] for unit in [*SIGNS, *WORDS]},
    **{f"{unit!r} between letters": f"a{(unit * LENGTH)[: LENGTH - 2]}b" for unit in SIGNS},
    **{f"{unit!r} in an answer": f"Answer: {(unit * LENGTH)[: LENGTH - 9]}x" for unit in SIGNS},
}


def seconds(reader: Callable[[str], object], text: str) -> float:
    """CPU seconds of the faster of two readings, or of one that is fast enough."""
    best = float("inf")
    for _ in range(2):
        start = time.process_time()
        reader(text)
        best = min(best, time.process_time() - start)
        if best < LIMIT:
            break
    return best


@pytest.mark.parametrize("name", READERS)
def test_a_long_reply_that_repeats_itself_is_read_quickly(name: str):
    slow = {label: taken for label, text in TEXTS.items() if (taken := seconds(READERS[name], text)) > LIMIT}
    assert slow == {}
